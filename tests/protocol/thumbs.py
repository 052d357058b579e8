"""The worker behind the README's examples: it knows a few pictures."""

import json
import signal
import sys


def reply(path: str) -> dict[str, object]:
    if path == "missing.png":
        return {"status": "error", "message": "no such file", "retry": False}
    if path == "endless.gif":
        signal.alarm(300)  # ends what a failed test leaves behind
        signal.pause()
    return {"status": "ok", "result": {"width": 320, "height": 200}}


for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"id": request["id"], **reply(request["payload"]["path"])}), flush=True)
