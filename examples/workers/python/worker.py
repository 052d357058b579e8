"""A stoker worker in Python: three kinds of jobs, and every kind of reply.

    {"kind": "words", "text": "to be or not"}      {"characters": 12, "words": 4, "longest": "not"}
    {"kind": "factor", "n": 600851475143}          {"factors": [71, 839, 1471, 6857]}
    {"kind": "count", "path": "/etc/services"}     {"lines": 361, "bytes": 12813}

Try it by hand:  echo '{"id":"1","payload":{"kind":"factor","n":360}}' | python3 worker.py
"""

import json
import os
import sys
from collections.abc import Callable, Iterator

Progress = Callable[..., None]

PIECE = 8 * 1024 * 1024  # bytes of a file between two words about progress
MAX_SAFE = 2**53 - 1  # beyond it other languages round, those that submit jobs included
MAX_LOAD = float(os.environ.get("MAX_LOAD", "50"))  # above it, files are left for later
LATER_SECS = 30


class Refused(Exception):
    """The payload is at fault: it will fail the same way every time."""


class Busy(Exception):
    """Not now, and nobody's fault."""


def words(payload: dict[str, object], progress: Progress) -> dict[str, object]:
    text = payload.get("text")
    if not isinstance(text, str):
        raise Refused("text: expected a string")
    found = text.split()
    return {"characters": len(text), "words": len(found), "longest": max(found, key=len, default="")}


def factor(payload: dict[str, object], progress: Progress) -> dict[str, object]:
    n = payload.get("n")
    if type(n) is not int or not 1 <= n <= MAX_SAFE:  # not isinstance: True is an int, too
        raise Refused("n: expected a whole number from 1 to 2^53 - 1")
    return {"factors": list(prime_factors(n))}


def prime_factors(n: int) -> Iterator[int]:
    p = 2
    while p * p <= n:
        while n % p == 0:
            yield p
            n //= p
        p += 1 + (p & 1)  # 2, 3, 5, 7, 9 …
    if n > 1:
        yield n


def count(payload: dict[str, object], progress: Progress) -> dict[str, object]:
    path = payload.get("path")
    if not isinstance(path, str) or "\0" in path:
        raise Refused("path: expected the name of a file")
    if os.getloadavg()[0] >= MAX_LOAD:
        raise Busy
    lines = size = 0
    with open(path, "rb", buffering=0) as file:
        total = os.fstat(file.fileno()).st_size
        while piece := file.read(PIECE):
            lines += piece.count(b"\n")
            size += len(piece)
            if len(piece) == PIECE:
                progress(progress=min(1, size / total) if total else None, done=size, total=total)
    return {"lines": lines, "bytes": size}


KINDS = {"words": words, "factor": factor, "count": count}


def run(payload: object, progress: Progress) -> dict[str, object]:
    if not isinstance(payload, dict):
        raise Refused("the payload must be an object with a kind")
    kind = payload.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise Refused(f"kind: expected one of {', '.join(KINDS)}")
    return KINDS[kind](payload, progress)


def answer(payload: object, progress: Progress) -> dict[str, object]:
    """The final reply, but for its id."""
    try:
        return {"status": "ok", "result": run(payload, progress)}
    except Busy:
        return {"status": "throttled", "retry_after_secs": LATER_SECS}
    except (Refused, FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        return {"status": "error", "message": str(error), "retry": False}
    except Exception as error:  # whatever else it is may pass: the queue's backoff tries again
        return {"status": "error", "message": f"{type(error).__name__}: {error}"}


def serve(line: bytes, send: Callable[..., None]) -> None:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:  # JSON that Python does not read: a number of over 4300 digits
        job_id = line.split(b'"', 4)[3].decode()  # the id comes first, and nothing in it is escaped
        send(job_id, status="error", message=f"the request cannot be read: {error}", retry=False)
        return
    job_id = request["id"]

    def progress(**step: object) -> None:
        send(job_id, status="progress", **step)

    send(job_id, **answer(request["payload"], progress))


def main() -> None:
    # The real stdout is for replies alone. What else is printed, by a library in C or a child too, goes to the log.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr

    def send(job_id: str, **reply: object) -> None:
        replies.write(json.dumps({"id": job_id, **reply}).encode() + b"\n")
        replies.flush()  # a reply that sits in a buffer was never sent

    for line in sys.stdin.buffer:  # ends when stoker closes stdin: time to go
        serve(line, send)


if __name__ == "__main__":
    main()
