"""Asks for retirement with every reply (argument N: with every Nth). The result: its pid, and its number of jobs."""

import os
import sys

from _wire import line, requests, say

every = int(sys.argv[1]) if len(sys.argv) > 1 else 1
for jobs, request in enumerate(requests(), 1):
    result = {"pid": os.getpid(), "jobs": jobs}
    say(line(id=request["id"], status="ok", result=result, recycle=jobs % every == 0))
