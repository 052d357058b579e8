"""No row at all: says when it ran. Appends `begin ID ATTEMPT PID TIME` and `end …` to the file $STOKER_TEST_FILE names.

TIME is CLOCK_MONOTONIC in nanoseconds, the same clock for every process. Each line is one O_APPEND write: whole, in
order, and outliving a SIGKILL. Payload: `sleep`, seconds between the two; `beat`: an `alive …` line every so many
seconds of it; `gate`: a FIFO to wait for first; `fails`: so many attempts are answered with an error; `halves`: the
reply is written in two, so many seconds apart. The result: attempt and pid.
"""

import os
import time
from typing import Any

from _wire import asked, line, requests, say, wait

side_file = os.open(os.environ["STOKER_TEST_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
pid = os.getpid()


def mark(event: str, request: dict[str, Any]) -> None:
    os.write(side_file, f"{event} {request['id']} {request['attempt']} {pid} {time.monotonic_ns()}\n".encode())


def answer(request: dict[str, Any], wanted: dict[str, Any]) -> None:
    if request["attempt"] <= wanted.get("fails", 0):
        reply = line(id=request["id"], status="error", message="it was to fail")
    else:
        reply = line(id=request["id"], status="ok", result={"attempt": request["attempt"], "pid": pid})
    if "halves" in wanted:
        middle = len(reply) // 2
        say(reply[:middle])
        time.sleep(wanted["halves"])
        reply = reply[middle:]
    say(reply)


for request in requests():
    wanted = asked(request)
    mark("begin", request)
    if "gate" in wanted:
        wait({"gate": wanted["gate"]})
    ends = time.monotonic() + wanted.get("sleep", 0)
    while (left := ends - time.monotonic()) > 0:
        time.sleep(min(left, wanted.get("beat", left)))
        if "beat" in wanted:
            mark("alive", request)
    mark("end", request)
    answer(request, wanted)
