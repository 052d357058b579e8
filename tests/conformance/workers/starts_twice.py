"""Starts two times; the file of its argument has a byte for each."""

import os
import sys

from _wire import ok, requests

with open(sys.argv[1], "ab") as file:
    file.write(b"x")
if os.path.getsize(sys.argv[1]) > 2:
    sys.exit("the port is taken")
for request in requests():
    ok(request)
