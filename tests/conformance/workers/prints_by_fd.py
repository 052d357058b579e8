"""Speaks over descriptors 3 and 4, and prints to stdout all the while; with `--there` to 4 too."""

import json
import os
import sys

print("worker 1.0 is up")
for text in os.fdopen(3, "rb"):
    print("a job", flush=True)
    if "--there" in sys.argv:
        os.write(4, b"a job\n")
    os.write(4, json.dumps({"id": json.loads(text)["id"], "status": "ok"}).encode() + b"\n")
