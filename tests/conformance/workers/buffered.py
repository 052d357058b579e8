"""Replies, and its ready line (argument `--ready`), stay in a buffer until it exits."""

import json
import sys

if "--ready" in sys.argv:
    print(json.dumps({"status": "ready"}))
for line in sys.stdin:
    print(json.dumps({"id": json.loads(line)["id"], "status": "ok"}))
