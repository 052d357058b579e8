"""Throws away the request that follows its 50th reply."""

import json
import sys

from _wire import ok

count = 0
while text := sys.stdin.buffer.readline():
    ok(json.loads(text))
    count += 1
    if count == 50:
        sys.stdin.buffer.readline()
