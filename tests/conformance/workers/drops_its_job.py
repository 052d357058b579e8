"""Works for a moment, and exits as soon as stdin ends, whatever it has in hand."""

import json
import os
import queue
import sys
import threading
import time

from _wire import Request, ok

jobs: queue.Queue[Request] = queue.Queue()


def read() -> None:
    for text in sys.stdin.buffer:
        jobs.put(json.loads(text))
    os._exit(0)


threading.Thread(target=read, daemon=True).start()
while True:
    job = jobs.get()
    time.sleep(0.1)
    ok(job)
