"""What `stoker init` writes."""

WORKER = '''#!/usr/bin/env python3
"""A worker: one JSON request a line on stdin, one JSON reply a line on stdout. Any language can do this."""

import json
import sys

# What is slow to load is loaded here, once: this process stays and takes one job after the other.


class WrongPayload(Exception):
    """It would be as wrong the next time."""


def handle(payload):
    """One job: its payload in, its result out. An exception fails the attempt, and stoker tries again."""
    if payload is not None and not isinstance(payload, dict):
        raise WrongPayload('the payload must be an object, such as {"name": "world"}')
    name = (payload or {}).get("name", "nobody")
    return {"greeting": f"Hello, {name}!"}


for line in sys.stdin:  # the end of stdin means: finish
    job = line[7:43]  # its id always stands there, even where json.loads refuses the rest
    try:
        reply = json.dumps({"id": job, "status": "ok", "result": handle(json.loads(line)["payload"])})
    except WrongPayload as error:
        reply = json.dumps({"id": job, "status": "error", "message": str(error), "retry": False})
    except Exception as error:
        reply = json.dumps({"id": job, "status": "error", "message": f"{type(error).__name__}: {error}"})
    print(reply, flush=True)  # stdout is for replies alone; what goes to stderr is logged
'''

HEAD = """\
# stoker's configuration. Relative paths count from this file's folder.
# `stoker check-config` checks it, and names every problem.

"""

# Under the header of each section, the words that explain it.
REMARKS = {
    "[daemon]": "# Where clients find the daemon, and where jobs are kept.",
    "[pools.hello]": "# Warm workers: `size` processes of `command` (an argv, no shell) for the queue `hello`.",
    "[queues.hello]": "# How often a failing job is tried before it stays failed.",
}
