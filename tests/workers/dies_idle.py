"""Dies while idle. Payload: `code` or `signal`; answers first, then dies when told (`gate`/`secs`)."""

import os
import signal

from _wire import asked, ok, requests, wait

for request in requests():
    ok(request, os.getpid())
    if wanted := asked(request):
        wait(wanted)
        if "signal" in wanted:
            os.kill(os.getpid(), signal.Signals[wanted["signal"]])
        os._exit(wanted.get("code", 0))
