"""Reads its stdin at once, and boots for so long (argument, seconds) before it looks at what has come."""

import json
import os
import sys
import time

from _wire import ok, requests

data = os.read(0, 65536)
time.sleep(float(sys.argv[1]))
for line in data.splitlines():
    ok(json.loads(line))
for request in requests():
    ok(request)
