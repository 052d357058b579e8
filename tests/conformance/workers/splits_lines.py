"""Breaks lines where str.splitlines does: at U+2028 too."""

import json
import sys

from _wire import ok

for raw in sys.stdin.buffer:
    for line in raw.decode().splitlines():
        ok(json.loads(line))
