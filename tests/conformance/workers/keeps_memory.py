"""Keeps so many bytes of each job (argument)."""

import sys

from _wire import ok, requests

kept = []
for request in requests():
    kept.append(b"x" * int(sys.argv[1]) + request["id"].encode())
    ok(request)
