"""Makes a double of every number, and writes Infinity where it is too large."""

import json
import sys

from _wire import ok

for text in sys.stdin.buffer:
    request = json.loads(text, parse_int=float)
    ok(request, request["payload"])
