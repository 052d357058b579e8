"""stoker status, queues, pools and workers."""

import json

import pytest

from tests.cli.conftest import Run
from tests.cli.samples import ID, pool, queue, status, worker
from tests.cli.scripted import ScriptedDaemon


def test_status_begins_with_the_daemon_and_shows_pools_and_queues(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("status", status())
    result = stoker("status")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[:2] == [
        "stoker 0.1.0 running, up 3h20m, pid 4700, 1 connection",
        "configuration /etc/stoker/stoker.toml, store sqlite:stoker.db",
    ]
    assert lines[2:] == [
        "",
        "POOL    STATE  SIZE  BUSY  IDLE  DONE  SPAWNED  CRASHES  QUEUES",
        "thumbs  ready     4     2     2   345        5        1  thumbs",
        "",
        "QUEUE   PENDING  RUNNING  DONE  FAILED  OLDEST  IN/S  OUT/S  NOTE",
        "thumbs       12        2   345       1   5m12s   3.2      0  2 not due",
    ]


def test_status_says_in_full_what_is_wrong_before_any_number(daemon: ScriptedDaemon, stoker: Run) -> None:
    reason = "the worker died at boot 12 times\nTraceback …\nModuleNotFoundError: No module named 'nosuch'"
    store = {"url": "sqlite:stoker.db", "state": "failing", "reason": "disk full", "epoch": 3}
    daemon.on("status", status(pools=[pool(state="degraded", reason=reason)], store=store, unserved=["mails", "old"]))
    shown = stoker("status").stdout
    assert shown.splitlines()[2:7] == [
        "store failing: disk full",
        "pool thumbs degraded: the worker died at boot 12 times",
        "  Traceback …",
        "  ModuleNotFoundError: No module named 'nosuch'",
        "no pool serves mails, old: jobs wait there until a pool has it in its queues",
    ]


def test_queues_shows_what_is_unusual_of_each(daemon: ScriptedDaemon, stoker: Run) -> None:
    views = [
        queue("busy", submit_rate=1234.5, cancelled=2, due=12),
        queue("still", paused=True, due=12, oldest_pending_secs=None),
        queue("lost", due=12, pools=[]),
    ]
    daemon.on("queues", {"queues": views})
    _, busy, still, lost = stoker("queues").stdout.splitlines()
    assert busy.endswith("  1234      0  2 cancelled")
    assert still.endswith("  paused")
    assert lost.endswith("  no pool")
    assert daemon.params("queues") == [{}]


def test_pools_says_why_one_is_degraded(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("pools", {"pools": [pool(state="degraded", reason="it dies at boot"), pool("other")]})
    assert stoker("pools").stdout.splitlines()[-1] == "pool thumbs degraded: it dies at boot"


def test_workers_of_one_pool(daemon: ScriptedDaemon, stoker: Run) -> None:
    waiting = worker(1, pid=None, state="waiting", job=None, rss=None, age_secs=None)
    daemon.on("workers", {"workers": [worker(), waiting]})
    assert stoker("workers", "thumbs").stdout.splitlines() == [
        "WORKER     PID  STATE    DONE  RSS    AGE  JOB",
        f"thumbs/0  4711  busy       12  15M  3h20m  {ID}",
        "thumbs/1        waiting    12",
    ]
    assert daemon.params("workers") == [{"pool": "thumbs"}]


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("status", status()),
        ("queues", {"queues": [queue()]}),
        ("pools", {"pools": [pool()]}),
        ("workers", {"workers": [worker()]}),
    ],
)
def test_json_is_what_the_daemon_gave(
    daemon: ScriptedDaemon, stoker: Run, command: str, answer: dict[str, object]
) -> None:
    daemon.on(command, answer)
    result = stoker(command, "--json")
    assert json.loads(result.stdout) == answer
    assert result.stdout.count("\n") == 1


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("command", ["status", "queues", "pools", "workers"])
def test_tables_fit_80_columns(daemon: ScriptedDaemon, stoker: Run, command: str) -> None:
    views = {
        "pools": [pool("thumbnails", queues=["thumbnails", "thumbnails-urgent", "previews", "contact-sheets"])],
        "queues": [queue("thumbnails", paused=True, pending=100_000, done=1_234_567, cancelled=12, expired=13)],
        "workers": [worker(state="idle")],
    }
    daemon.on("status", status(pools=views["pools"], queues=views["queues"]))
    for kind, rows in views.items():
        daemon.on(kind, {kind: rows})
    shown = stoker(command).stdout
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[32m", "\x1b[33m", "\x1b[36m"):
        shown = shown.replace(code, "")
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 80
