"""Exit mid-job. Payload: `code`, the exit code, when told (`gate`/`secs`); `close_first`: stdout closes before that."""

import os

from _wire import REPLIES, asked, ok, requests, wait

for request in requests():
    wanted = asked(request)
    if "code" in wanted:
        if wanted.get("close_first"):
            os.close(REPLIES)
        wait(wanted)
        os._exit(wanted["code"])
    ok(request)
