"""EOF mid-job: closes stdout instead of answering and lives on. A null payload is answered."""

import os

from _wire import hang, ok, requests

for request in requests():
    if request["payload"] is not None:
        os.close(1)
        hang()
    ok(request)
