"""The programs of this folder, spoken to."""

import json
from pathlib import Path

from tests.examples.conversation import Conversation
from tests.workers import command

JOB = "0199f3c2-5b7e-7c31-9a04-6e0d5c8b1f20"
ARGUMENTS = {"slow_boot.py": ["0"], "by_file.py": ["/no/release"]}
# What `channel = "fd"` is to a program: its pipes are 3 and 4, and stdout is log.
ON_3_AND_4 = ["sh", "-c", 'exec "$@" 3<&0 4>&1 </dev/null >&2', "sh"]


def spoken_to(name: str, folder: Path, *flags: str) -> Conversation:
    argv = command(name, *ARGUMENTS.get(name, []), *flags)
    if "--fd" in flags:
        argv = [*ON_3_AND_4, *argv]
    return Conversation(argv, env={"STOKER_TEST_FILE": str(folder / "marks")})


def answers(worker: Conversation) -> bool:
    worker.send(JOB, None)
    reply = worker.receive()
    return reply.status == "ok" and reply.id in (JOB, None)


def says_ready(worker: Conversation) -> bool:
    return json.loads(worker.line()) == {"status": "ready"}
