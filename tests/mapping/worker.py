"""A worker that does what its payload says."""

import json
import sys

for line in sys.stdin:
    request = json.loads(line)
    payload = request["payload"]
    reply = {"id": request["id"], "status": "ok", "result": {"size": len(payload["do"]), "of": payload}}
    if payload["do"] == "fail" or (payload["do"] == "fail once" and request["attempt"] == 1):
        reply = {"id": request["id"], "status": "error", "message": f"cannot do {payload.get('custom_id')}"}
    print(json.dumps(reply), flush=True)
