"""No reply by the timeout; deaf to SIGTERM and to the end of stdin, so that only SIGKILL ends it.

A null payload is answered.
"""

import signal

from _wire import hang, ok, requests

signal.signal(signal.SIGTERM, signal.SIG_IGN)
for request in requests():
    if request["payload"] is not None:
        break
    ok(request)
hang()
