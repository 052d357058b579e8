"""Reads, does nothing, and goes."""

import sys

for _ in sys.stdin:
    pass
