"""Looks for the id all over the line, and takes the last."""

import re
import sys

from _wire import line, say

for text in sys.stdin.buffer:
    say(line(id=re.findall(rb'"id":"([^"]*)"', text)[-1].decode(), status="ok"))
