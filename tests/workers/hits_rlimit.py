"""Runs into a resource limit. Payload: `what` is "nofile", "nproc", "fsize", "data" or "cpu".

The result: how far it came (`came`) and what the system said (`said`); past `cpu` it does not live to answer. `most`:
where it gives up if the limit does not hold; `folder`: for the file that `fsize` writes.
"""

import os
import signal
from collections.abc import Callable
from typing import Any

from _wire import asked, hang, ok, requests

MEGABYTE = 1_000_000
kept: list[bytearray] = []


def nofile(wanted: dict[str, Any]) -> int:
    os.dup(0)
    return 1


def nproc(wanted: dict[str, Any]) -> int:
    if os.fork() == 0:
        hang()
    return 1


def fsize(wanted: dict[str, Any]) -> int:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with open(os.path.join(wanted["folder"], "big"), "ab", buffering=0) as file:
        return file.write(b"x" * 4096)


def data(wanted: dict[str, Any]) -> int:
    kept.append(bytearray(MEGABYTE))
    return MEGABYTE


def cpu(wanted: dict[str, Any]) -> int:
    return min(1, sum(range(1000)))


TRIALS: dict[str, Callable[[dict[str, Any]], int]] = {
    "nofile": nofile,
    "nproc": nproc,
    "fsize": fsize,
    "data": data,
    "cpu": cpu,
}

for request in requests():
    wanted = asked(request)
    if "what" not in wanted:
        ok(request)
        continue
    came, said = 0, None
    try:
        while came < wanted.get("most", float("inf")):
            came += TRIALS[wanted["what"]](wanted)
    except OSError as error:
        said = error.strerror
    except MemoryError:
        said = "MemoryError"
    kept.clear()
    ok(request, {"came": came, "said": said})
