"""Crash mid-job. Payload: `signal`, the name of the one it dies of ("SIGSEGV"), when told (`gate`/`secs`).

With `attempts` it dies on that many attempts and answers the next.
"""

import os
import signal

from _wire import asked, ok, requests, wait

for request in requests():
    wanted = asked(request)
    if "signal" in wanted and request["attempt"] <= wanted.get("attempts", float("inf")):
        wait(wanted)
        number = signal.Signals[wanted["signal"]]
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    ok(request)
