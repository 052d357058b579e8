"""What the programs of this folder share: read a request, write a reply, wait until told."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

Request = dict[str, Any]

FORGOTTEN_AFTER_SECS = 300


def requests() -> Iterator[Request]:
    """Each request, until stdin ends."""
    for line in sys.stdin.buffer:
        yield json.loads(line)


def asked(request: Request) -> dict[str, Any]:
    """The payload when it is an object: what the test wants done. Any other payload asks for good behaviour."""
    payload = request["payload"]
    return payload if isinstance(payload, dict) else {}


def say(raw: bytes) -> None:
    """These very bytes on stdout, at once."""
    sys.stdout.buffer.write(raw)
    sys.stdout.buffer.flush()


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
