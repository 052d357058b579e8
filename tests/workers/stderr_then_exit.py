"""Exit mid-job with last words. Payload: `lines` for stderr, `tail` (text without an end), then exit `code` (1)."""

import os

from _wire import asked, ok, requests

for request in requests():
    if wanted := asked(request):
        words = "".join(row + "\n" for row in wanted.get("lines", ())) + wanted.get("tail", "")
        with open(2, "wb", closefd=False) as stderr:
            stderr.write(words.encode("utf-8", "surrogateescape"))
        os._exit(wanted.get("code", 1))
    ok(request)
