"""Answers and exits at once, code in the first argument (0): it has answered, and its slot has to be filled again."""

import os
import sys

from _wire import ok, requests

for request in requests():
    ok(request, request["payload"])
    os._exit(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
