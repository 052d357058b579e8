"""Binary on stderr, then the reply. Payload: `hex`; without it every byte there is, in lines that are no text."""

import os

from _wire import asked, ok, requests

for request in requests():
    if request["payload"] is not None:
        given = asked(request).get("hex")
        os.write(2, bytes.fromhex(given) if given is not None else bytes(range(256)) * 16 + b"\n")
    ok(request)
