"""Opens a file for each job, and leaves it open."""

import os

from _wire import ok, requests

for request in requests():
    os.open("/dev/null", os.O_RDONLY)
    ok(request)
