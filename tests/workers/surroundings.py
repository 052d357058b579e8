"""No row at all: answers with what a child was given: pid, ppid, session, argv, cwd, environment, open descriptors."""

import os
import sys

from _wire import ok, requests

for request in requests():
    descriptors = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            descriptors[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:  # the one that listdir itself had open
            continue
    ok(
        request,
        {
            "pid": os.getpid(),
            "ppid": os.getppid(),
            "session": os.getsid(0),
            "argv": sys.argv,
            "cwd": os.getcwd(),
            "env": dict(os.environ),
            "fds": descriptors,
        },
    )
