"""Kills its own process group in the middle of a job, as a careless clean-up does. Payload: `signal` (SIGKILL).

A null payload is answered.
"""

import os
import signal

from _wire import asked, hang, ok, requests

for request in requests():
    if request["payload"] is not None:
        os.killpg(0, signal.Signals[asked(request).get("signal", "SIGKILL")])
        hang()
    ok(request)
