"""Writes what it was given and where it runs into the file that its payload names."""

import json
import os

from _wire import ok, requests

for request in requests():
    seen = {"env": dict(os.environ), "cwd": os.getcwd(), "leads_session": os.getsid(0) == os.getpid()}
    with open(request["payload"], "w") as file:
        json.dump({**seen, "request": request}, file)
    ok(request)
