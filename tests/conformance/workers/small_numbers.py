"""Dies of a number that 64 bits do not hold."""

import struct

from _wire import ok, requests

for request in requests():
    if isinstance(request["payload"], int):
        struct.pack("q", request["payload"])
    ok(request)
