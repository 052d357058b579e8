"""Any line while idle. Payload: `gate`/`secs`: chatters after its reply, when told.

Argument `--at-boot`: it chatters before any job.
"""

import sys

from _wire import asked, ok, requests, say, wait

if "--at-boot" in sys.argv:
    say(b"worker 1.0 is up\n")
for request in requests():
    ok(request)
    if wanted := asked(request):
        wait(wanted)
        say(b"still here\n")
