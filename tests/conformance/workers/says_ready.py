"""Says that it is ready, after what its arguments say, and works; again after its first job with `--twice`."""

import sys

from _wire import line, ok, requests, say

for text in sys.argv[1:]:
    if text != "--twice":
        say(text.encode() + b"\n")
say(line(status="ready"))
for request in requests():
    ok(request)
    if "--twice" in sys.argv:
        say(line(status="ready"))
