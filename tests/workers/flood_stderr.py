"""A flood on stderr. Payload: `bytes` of it before the reply, in lines of 100 (`lines`: false: one, never ended).

With `endless` there is no reply and no end to it.
"""

import os

from _wire import asked, ok, requests


def flood(block: bytes, total: int | None) -> None:
    written = 0
    while total is None or written < total:
        written += os.write(2, block if total is None else block[: total - written])


for request in requests():
    wanted = asked(request)
    row = b"#" * 99 + b"\n" if wanted.get("lines", True) else b"#" * 100
    if wanted:
        flood(row * 600, None if wanted.get("endless") else wanted["bytes"])
    ok(request)
