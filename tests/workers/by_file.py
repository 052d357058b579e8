"""Boots as a file says. Argument: the file, JSON, read once at boot, so that replacing it is a new release.

`exit`: a code, at once, with `stderr` as its last words; `gate`/`secs`: waits first; `never`: goes no further, and says
nothing; `ready`: true says so. Then it answers with `name`, its pid, its slot and its number of jobs. No file is {}.
"""

import json
import os
import sys

from _wire import hang, ok, ready, requests, wait

try:
    with open(sys.argv[1]) as file:
        release = json.load(file)
except FileNotFoundError:
    release = {}
wait(release)
if "exit" in release:
    os.write(2, release.get("stderr", "").encode())
    os._exit(release["exit"])
if release.get("never"):
    hang()
if release.get("ready"):
    ready()
for jobs, request in enumerate(requests(), 1):
    slot = os.environ.get("STOKER_SLOT")
    ok(request, {"name": release.get("name"), "pid": os.getpid(), "slot": slot, "jobs": jobs})
