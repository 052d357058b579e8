"""When stdin ends it takes a time (second argument, seconds) and exits with a code (first argument)."""

import sys
import time

from _wire import ok, requests

for request in requests():
    ok(request)
if len(sys.argv) > 2:
    time.sleep(float(sys.argv[2]))
sys.exit(int(sys.argv[1]))
