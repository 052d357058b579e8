"""EOF mid-job: closes stdout (with `--fd`: descriptor 4) instead of answering and lives on.

A null payload is answered.
"""

import os

from _wire import REPLIES, hang, ok, requests

for request in requests():
    if request["payload"] is not None:
        os.close(REPLIES)
        hang()
    ok(request)
