"""A result of any size within max_line. Payload: `bytes`, the length of the text it answers with."""

from _wire import asked, ok, requests

for request in requests():
    ok(request, "x" * asked(request).get("bytes", 0))
