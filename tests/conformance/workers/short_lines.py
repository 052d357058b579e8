"""Reads lines into a buffer of 64 KiB."""

import json
import sys

from _wire import ok

while text := sys.stdin.buffer.readline(65536):
    ok(json.loads(text))
