"""A stoker worker: which digit somebody wrote, by the model that prepare.py has trained.

    payload   {"pixels": [0, 0, 5, 13, …]}      64 of them, row by row, 0 (paper) to 16 (ink); other members are ignored
    result    {"digit": 7}

Importing scikit-learn takes a second or more, a picture a third of a millisecond. So it says when it is ready.

Try it by hand, after prepare.py:  head -n 1 digits.jsonl | python3 worker.py --plain
With --plain it is no worker but a program that one would write without stoker: payloads in, results out.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import joblib
from sklearn.svm import SVC

MODEL = Path(__file__).resolve().with_name("model.joblib")
PIXELS = 64


class Refused(Exception):
    """The payload is at fault: it will fail the same way every time."""


def load() -> SVC:
    if not MODEL.exists():
        sys.exit(f"there is no {MODEL}; run prepare.py first")
    return joblib.load(MODEL)


def classify(model: SVC, payload: object) -> dict[str, object]:
    pixels = payload.get("pixels") if isinstance(payload, dict) else None
    if not isinstance(pixels, list) or len(pixels) != PIXELS or not all(map(is_pixel, pixels)):
        raise Refused(f'the payload must be {{"pixels": […]}} with {PIXELS} numbers from 0 to 16')
    return {"digit": int(model.predict([pixels])[0])}


def is_pixel(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 16


def answer(model: SVC, payload: object) -> dict[str, object]:
    """The reply, but for its id."""
    try:
        return {"status": "ok", "result": classify(model, payload)}
    except Refused as error:
        return {"status": "error", "message": str(error), "retry": False}
    except Exception as error:
        return {"status": "error", "message": f"{type(error).__name__}: {error}"}


def take_stdout() -> Callable[[dict[str, object]], None]:
    """The way to send a line. Whatever else is printed from now on, by a library too, goes to the log."""
    lines = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr

    def send(line: dict[str, object]) -> None:
        lines.write(json.dumps(line).encode() + b"\n")
        lines.flush()

    return send


def main() -> None:
    send = take_stdout()
    model = load()
    if sys.argv[1:] == ["--plain"]:
        for line in sys.stdin.buffer:
            send(classify(model, json.loads(line)))
        return
    send({"status": "ready"})
    for line in sys.stdin.buffer:  # ends when stoker closes stdin: time to go
        request = json.loads(line, parse_int=float)  # int() refuses 5,000 digits, and a pixel may be a float
        send({"id": request["id"], **answer(model, request["payload"])})


if __name__ == "__main__":
    main()
