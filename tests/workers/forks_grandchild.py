"""The tree: leaves a grandchild that holds its pipes and runs on; its pid is in the file `pid_file` before all else.

Payload: `pid_file`; `session`: true gives it a session of its own, out of reach of killpg; `deaf`: it ignores SIGTERM;
`then`: "hang" (default) without an answer, "exit" at once, "answer", or "answer_and_exit".
"""

import os
import signal
from typing import Any

from _wire import asked, hang, ok, requests


def grandchild(wanted: dict[str, Any], born: int) -> None:
    if wanted.get("session"):
        os.setsid()
    if wanted.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    unfinished = wanted["pid_file"] + ".new"
    with open(unfinished, "w") as file:
        file.write(str(os.getpid()))
    os.rename(unfinished, wanted["pid_file"])
    os.close(born)
    hang()


for request in requests():
    wanted = asked(request)
    if "pid_file" not in wanted:
        ok(request)
        continue
    is_born, born = os.pipe()
    if os.fork() == 0:
        grandchild(wanted, born)
    os.close(born)
    os.read(is_born, 1)  # ends when the grandchild has closed its end
    os.close(is_born)
    then = wanted.get("then", "hang")
    if then.startswith("answer"):
        ok(request)
    if then.endswith("exit"):
        os._exit(0)
    if then == "hang":
        hang()
