"""Writes Latin-1."""

import json

from _wire import requests, say

for request in requests():
    reply = {"id": request["id"], "status": "ok", "result": request["payload"]}
    say(json.dumps(reply, ensure_ascii=False).encode("latin-1", "replace") + b"\n")
