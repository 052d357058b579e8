"""Has had enough at 50 levels: dies, or with the argument `--polite` says so."""

import sys

from _wire import line, ok, requests, say


def depth(value: object) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, children), default=0)


sys.setrecursionlimit(5000)
for request in requests():
    if depth(request["payload"]) < 50:
        ok(request)
    elif "--polite" in sys.argv:
        say(line(id=request["id"], status="error", message="too deep"))
    else:
        raise RecursionError("too deep")
