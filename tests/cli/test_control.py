"""stoker ping, pause, resume and drain."""

import json
import re

from tests.cli.conftest import Run
from tests.cli.samples import queue
from tests.cli.scripted import ScriptedDaemon


def test_ping_tells_the_version_and_how_long_it_took(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("ping", {"version": "0.1.0", "protocol": 1})
    assert re.fullmatch(r"stoker 0\.1\.0, protocol 1, answered in \d+\.\d ms\n", stoker("ping").stdout)
    assert json.loads(stoker("ping", "--json").stdout) == {"version": "0.1.0", "protocol": 1}


def test_ping_tells_what_we_may_do(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("ping", {"version": "0.1.0", "protocol": 1, "role": "look", "queues": {}})
    assert stoker("ping").stdout.splitlines()[1:] == ["you may: look"]
    daemon.on("ping", {"version": "0.1.0", "protocol": 1, "role": None, "queues": {"mail": "admin", "old": "look"}})
    assert stoker("ping").stdout.splitlines()[1:] == [
        "you may: nothing, but for these queues",
        "  in mail: admin",
        "  in old: look",
    ]
    daemon.on("ping", {"version": "0.1.0", "protocol": 1, "role": "submit", "queues": {"mail": None}})
    assert stoker("ping").stdout.splitlines()[1:] == ["you may: submit", "  in mail: nothing"]


def test_pause_and_resume_tell_the_state_of_the_queue(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("pause", queue(paused=True))
    daemon.on("resume", queue())
    assert stoker("pause", "thumbs").stdout == "thumbs  paused  12 pending, 2 running\n"
    assert stoker("resume", "thumbs").stdout == "thumbs  resumed  12 pending, 2 running\n"
    assert daemon.params("pause") == daemon.params("resume") == [{"queue": "thumbs"}]
    assert json.loads(stoker("pause", "thumbs", "--json").stdout)["paused"] is True


def test_drain_says_when_it_is_over(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("drain", {"drained": True})
    assert stoker("drain").stdout.startswith("drained: nothing runs any more")
    assert json.loads(stoker("drain", "--json").stdout) == {"drained": True}
