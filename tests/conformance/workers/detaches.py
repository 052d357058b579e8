"""Each job leaves processes that nothing ties to it: in a session of their own, with an empty environment.

The first argument says what the orphan does: "stays" (its pids are in the file that the payload names); "hangs", as
"stays", and so does the worker; or "ends".
"""

import os
import signal
import subprocess
import sys

from _wire import FORGOTTEN_AFTER_SECS, hang, ok, requests

SLEEP = ["sleep", str(FORGOTTEN_AFTER_SECS)]


def orphan() -> None:
    """It ends at once, when its parent has gone."""
    if os.fork() == 0:
        read, write = os.pipe()
        if os.fork() == 0:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
        os._exit(0)
    os.wait()


for request in requests():
    if sys.argv[1] == "ends":
        orphan()
    else:
        process = subprocess.Popen(SLEEP, start_new_session=True, env={"PATH": os.environ["PATH"]})
        with open(request["payload"], "a") as file:
            file.write(f"{process.pid}\n")
        if sys.argv[1] == "hangs":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            hang()
    ok(request)
