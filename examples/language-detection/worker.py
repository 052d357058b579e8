"""A stoker worker: which language a text is in, by the statistical models of lingua (75 languages).

    payload   {"text": "Všichni lidé rodí se svobodní"}
    result    {"language": "Czech", "code": "cs", "confidence": 0.97}        (language null: there are no words in it)

Loading the models takes seconds and more than a gigabyte; a text takes milliseconds. So it says when it is ready. With
LANGUAGES="de en fr" in its environment it knows those languages alone, which takes less of both.

Try it by hand:  echo '{"id":"1","payload":{"text":"to be or not to be"}}' | python3 worker.py
With --lazily it says nothing, and loads the models that its texts need when they need them: to be run for one text.
"""

import json
import os
import sys
from collections.abc import Callable

from lingua import IsoCode639_1, LanguageDetector, LanguageDetectorBuilder


class Refused(Exception):
    """The payload is at fault: it will fail the same way every time."""


def load(*, lazily: bool) -> LanguageDetector:
    codes = [IsoCode639_1.from_str(code) for code in os.environ.get("LANGUAGES", "").split()]
    if codes:
        builder = LanguageDetectorBuilder.from_iso_codes_639_1(*codes)
    else:
        builder = LanguageDetectorBuilder.from_all_languages()
    return builder.build() if lazily else builder.with_preloaded_language_models().build()


def detect(detector: LanguageDetector, payload: object) -> dict[str, object]:
    text = payload.get("text") if isinstance(payload, dict) else None
    if not isinstance(text, str):
        raise Refused('the payload must be {"text": "…"}')
    best = detector.compute_language_confidence_values(text)[0]
    if best.value == 0:
        return {"language": None, "code": None, "confidence": 0}
    code = best.language.iso_code_639_1.name.lower()
    return {"language": best.language.name.title(), "code": code, "confidence": round(best.value, 2)}


def answer(detector: LanguageDetector, payload: object) -> dict[str, object]:
    """The reply, but for its id."""
    try:
        return {"status": "ok", "result": detect(detector, payload)}
    except Refused as error:
        return {"status": "error", "message": str(error), "retry": False}
    except Exception as error:
        return {"status": "error", "message": f"{type(error).__name__}: {error}"}


def take_stdout() -> Callable[[dict[str, object]], None]:
    """The way to send a reply. Whatever else is printed from now on, by a library too, goes to the log."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr

    def send(reply: dict[str, object]) -> None:
        replies.write(json.dumps(reply).encode() + b"\n")
        replies.flush()

    return send


def main() -> None:
    lazily = sys.argv[1:] == ["--lazily"]
    send = take_stdout()
    detector = load(lazily=lazily)
    if not lazily:
        send({"status": "ready"})
    for line in sys.stdin.buffer:  # ends when stoker closes stdin: time to go
        request = json.loads(line, parse_int=float)  # int() refuses 5,000 digits, and no number matters here
        send({"id": request["id"], **answer(detector, request["payload"])})


if __name__ == "__main__":
    main()
