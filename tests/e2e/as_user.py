"""A client that is somebody else: `as_user.py UID GID GROUP,GROUP… SOCKET`. A line in is
[method, params], a line out its answer, or why there is none."""

import json
import os
import sys

from protocol.client import CallFailed, Client, Disconnected


def main(uid: int, gid: int, groups: list[int], socket: str) -> None:
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    try:
        client = Client(socket, timeout=30)
    except Exception as error:
        say({"error": str(error)})
        return
    for line in sys.stdin:
        method, params = json.loads(line)
        try:
            say({"result": client.call(method, params)})
        except CallFailed as refusal:
            say({"code": refusal.code, "message": refusal.message, "data": refusal.data})
        except Disconnected:
            say({"error": "disconnected"})


def say(answer: object) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), [int(one) for one in sys.argv[3].split(",") if one], sys.argv[4])
