"""No row at all: what the lines of a batch ask for. Payload: an object with one of

`n`: its square; `fails`: an error with these words, not to be repeated; `flaky`: so many attempts fail, then it is
done; `exits`: the program does, with this code. Beside it `secs` and `gate`, to wait for first, and `dies`: so many
attempts end with the program. Anything else is answered with itself, as `{"said": …}`.
"""

import os
from typing import Any

from _wire import asked, line, ok, requests, say, wait


def answer(request: dict[str, Any]) -> None:
    wanted = asked(request)
    wait(wanted)
    if request["attempt"] <= wanted.get("dies", 0):
        os._exit(9)
    elif "exits" in wanted:
        os._exit(wanted["exits"])
    elif "fails" in wanted:
        say(line(id=request["id"], status="error", message=wanted["fails"], retry=False))
    elif request["attempt"] <= wanted.get("flaky", 0):
        say(line(id=request["id"], status="error", message="not this time"))
    elif "flaky" in wanted:
        ok(request, {"flaky": wanted["flaky"]})
    elif "n" in wanted:
        ok(request, {"n": wanted["n"], "square": wanted["n"] ** 2})
    else:
        ok(request, {"said": request["payload"]})


for request in requests():
    answer(request)
