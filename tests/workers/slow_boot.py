"""Slow to boot. Argument: seconds, or the path of a FIFO to wait for; then answers with its payload."""

import sys

from _wire import ok, requests, wait

wait({"gate": sys.argv[1]} if "/" in sys.argv[1] else {"secs": float(sys.argv[1])})
for request in requests():
    ok(request, request["payload"])
