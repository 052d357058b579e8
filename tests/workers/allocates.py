"""Takes much memory at once. Payload: `mb` megabytes, kept until told (`gate`/`secs`), then given back and answered.

`in_child`: a child of it takes them, and if that is killed the worker replies with an error and lives on; `step`: so
many megabytes at a time.
"""

import os
from typing import Any

from _wire import asked, line, ok, requests, say, wait


def take(wanted: dict[str, Any]) -> None:
    step = wanted.get("step", wanted["mb"])
    taken = [b"x" * (step * 1_000_000) for _ in range(0, wanted["mb"], step)]
    wait(wanted)
    del taken


for request in requests():
    wanted = asked(request)
    if "mb" not in wanted:
        ok(request, os.getpid())
    elif wanted.get("in_child"):
        child = os.fork()
        if child == 0:
            take(wanted)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            say(line(id=request["id"], status="error", message=f"the child ended with {status}"))
        else:
            ok(request, os.getpid())
    else:
        take(wanted)
        ok(request, os.getpid())
