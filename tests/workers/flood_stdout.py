"""A flood where replies go. Payload: `bytes` of it before the reply, in progress lines; `endless`: no reply, no end.

With `line` (text) it is lines of that instead, which are no replies.
"""

from _wire import asked, line, ok, requests, say

for request in requests():
    wanted = asked(request)
    if wanted:
        row = line(id=request["id"], status="progress", progress=0.5)
        if "line" in wanted:
            row = wanted["line"].encode() + b"\n"
        block = row * (1 + 65536 // len(row))
        written = 0
        while wanted.get("endless") or written < wanted["bytes"]:
            say(block)
            written += len(block)
    ok(request)
