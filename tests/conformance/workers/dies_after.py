"""Does so many jobs (argument) and dies."""

import sys

from _wire import ok, requests

for count, request in enumerate(requests(), 1):
    ok(request)
    if count == int(sys.argv[1]):
        sys.exit("had enough")
