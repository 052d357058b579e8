"""A stoker worker: statistics of a text.

    payload   {"text": "…"}
    result    {"words": 7, "lines": 1, "longest": "…", "common": [["the", 2], …], "reading_secs": 2.1}

Try it by hand:  echo '{"id":"1","payload":{"text":"to be or not to be"}}' | python3 worker.py
"""

import json
import re
import sys
from collections import Counter

WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")  # letters, with apostrophes and hyphens inside
WORDS_PER_SECOND = 240 / 60


def statistics(payload: object) -> dict[str, object]:
    if not isinstance(payload, dict) or not isinstance(payload.get("text"), str):
        raise ValueError('the payload must be {"text": "…"}')
    text = payload["text"]
    words = WORD.findall(text.lower())
    return {
        "words": len(words),
        "lines": len(text.splitlines()),
        "longest": max(words, key=len, default=""),
        "common": Counter(words).most_common(5),
        "reading_secs": round(len(words) / WORDS_PER_SECOND, 1),
    }


def answer(payload: object) -> dict[str, object]:
    try:
        return {"status": "ok", "result": statistics(payload)}
    except ValueError as error:  # the same payload fails the same way tomorrow: do not repeat it
        return {"status": "error", "message": str(error), "retry": False}
    except Exception as error:  # anything else may pass: let the queue's backoff try again
        return {"status": "error", "message": f"{type(error).__name__}: {error}"}


def main() -> None:
    # Replies get the real stdout to themselves; a stray print(), ours or a library's, goes to the log.
    replies, sys.stdout = sys.stdout.buffer, sys.stderr
    for line in sys.stdin.buffer:  # ends when stoker closes stdin: time to go
        request = json.loads(line)
        reply = {"id": request["id"], **answer(request["payload"])}
        replies.write(json.dumps(reply).encode() + b"\n")
        replies.flush()  # a reply that sits in a buffer was never sent


if __name__ == "__main__":
    main()
