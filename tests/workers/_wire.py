"""What the programs of this folder share: read a request, write a reply, wait until told.

Two arguments work with each program that uses this: `--fd` speaks on descriptors 3 and 4, for `channel = "fd"`, and
`--ready` says so before the first request is read, for `ready = true`. The program sees neither in `sys.argv`.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

Request = dict[str, Any]

FORGOTTEN_AFTER_SECS = 300


def _flag(name: str) -> bool:
    given = name in sys.argv
    if given:
        sys.argv.remove(name)
    return given


_fd = _flag("--fd")
_ready = _flag("--ready")
REQUESTS, REPLIES = (3, 4) if _fd else (0, 1)
_requests = os.fdopen(REQUESTS, "rb", closefd=False) if _fd else sys.stdin.buffer
_replies = os.fdopen(REPLIES, "wb", closefd=False) if _fd else sys.stdout.buffer


def requests() -> Iterator[Request]:
    """Each request, until there are no more."""
    if _ready:
        ready()
    for line in _requests:
        yield json.loads(line)


def ready() -> None:
    say(line(status="ready"))


def asked(request: Request) -> dict[str, Any]:
    """The payload when it is an object: what the test wants done. Any other payload asks for good behaviour."""
    payload = request["payload"]
    return payload if isinstance(payload, dict) else {}


def say(raw: bytes) -> None:
    """These very bytes where replies go, at once."""
    _replies.write(raw)
    _replies.flush()


def line(**members: Any) -> bytes:
    return json.dumps(members).encode() + b"\n"


def ok(request: Request, result: Any = None) -> None:
    say(line(id=request["id"], status="ok", result=result))


def wait(payload: dict[str, Any]) -> None:
    """Until the gate opens (`gate`: the path of a FIFO), then for `secs` seconds; for nothing when neither is given."""
    if "gate" in payload:
        os.close(os.open(payload["gate"], os.O_RDONLY))
    if "secs" in payload:
        import time

        time.sleep(payload["secs"])


def hang() -> NoReturn:
    """Never return. An alarm ends what a failed test leaves behind."""
    signal.alarm(FORGOTTEN_AFTER_SECS)
    while True:
        signal.pause()
