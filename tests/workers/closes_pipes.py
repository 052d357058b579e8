"""EOF mid-job: closes descriptors 0, 1 and 2 (payload `fds`: those) instead of answering and lives on.

A null payload is answered. Arguments: the descriptors it closes at boot.
"""

import os
import sys

from _wire import asked, hang, ok, requests

for fd in map(int, sys.argv[1:]):
    os.close(fd)
if "0" in sys.argv[1:]:
    hang()
for request in requests():
    if request["payload"] is not None:
        for fd in asked(request).get("fds", (0, 1, 2)):
            os.close(fd)
        hang()
    ok(request)
