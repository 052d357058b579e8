"""A stray print before the reply, on stdout. Payload: `print`, the text; `bytes` of it, again and again (a flood).

On stdout it is garbage; with `--fd` it is log like stderr. Argument `--at-boot`: before the first request too.
"""

import os
import sys

from _wire import asked, ok, requests


def stray(text: str, total: int = 0) -> None:
    row = f"{text}\n".encode()
    left = max(total, len(row))
    while left > 0:
        left -= os.write(1, (row * (1 + min(left, 65536) // len(row)))[:left])


if "--at-boot" in sys.argv:
    stray("loading the model")
for request in requests():
    wanted = asked(request)
    if "print" in wanted:
        stray(wanted["print"], wanted.get("bytes", 0))
    ok(request, request["payload"])
