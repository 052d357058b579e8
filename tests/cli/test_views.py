"""stoker status, queues, pools and workers."""

import json

import pytest

from supervisor.cli.troubles import DEGRADED_ADVICE
from tests.cli.conftest import Run
from tests.cli.samples import ID, ago, pool, queue, status, worker
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
        "POOL    STATE  SIZE  BUSY  IDLE  DONE  CRASHES  RECYCLED  GEN  QUEUES",
        "thumbs  ready     4     2     2   345        1         0    1  thumbs",
        "",
        "QUEUE   PENDING  RUNNING  DONE  FAILED  OLDEST  IN/S  OUT/S  NOTE",
        "thumbs       12        2   345       1   5m12s   3.2      0  2 not due",
    ]


def test_status_says_what_is_wrong_before_any_number(daemon: ScriptedDaemon, stoker: Run) -> None:
    reason = "the worker died at boot 12 times\nTraceback …\nModuleNotFoundError: No module named 'nosuch'"
    store = {"url": "sqlite:stoker.db", "state": "failing", "reason": "disk full", "epoch": 3}
    daemon.on("status", status(pools=[pool(state="degraded", reason=reason)], store=store, unserved=["mails", "old"]))
    shown = stoker("status").stdout
    assert shown.splitlines()[2:8] == [
        "store failing: disk full",
        "pool thumbs degraded: the worker died at boot 12 times",
        "  Traceback …",
        "  ModuleNotFoundError: No module named 'nosuch'",
        DEGRADED_ADVICE,
        "no pool serves mails, old: jobs wait there until a pool has it in its queues",
    ]


def test_status_tells_how_much_the_batches_have_before_them_while_there_are_some(
    daemon: ScriptedDaemon, stoker: Run
) -> None:
    said = {
        (2, 1, 12345): ["batches: 2 in progress, 1 pending, 12,345 lines to go"],
        (1, 0, 1): ["batches: 1 in progress, 1 line to go"],
        (0, 0, 7): ["batches: 7 lines to go"],
        (0, 0, 0): [],
    }
    for (in_progress, pending, unanswered), words in said.items():
        counts = {"in_progress": in_progress, "pending": pending, "unanswered": unanswered}
        daemon.on("status", status(batches=counts, pools=[], queues=[], unserved=["old"]))
        result = stoker("status")
        assert result.stdout.splitlines()[3:] == words
        assert "no pool serves old" in result.stdout


def test_queues_shows_what_is_unusual_of_each(daemon: ScriptedDaemon, stoker: Run) -> None:
    views = [
        queue("busy", submit_rate=1234.5, cancelled=2, due=12),
        queue("still", paused=True, due=12, oldest_pending_secs=None),
        queue("lost", due=12, pools=[]),
        queue("throttled", due=12, throttled_until=ago(-100)),
        queue("slow", due=12, limited_by="rate"),
        queue("rested", pending=0, due=0, limited_by="rate"),
    ]
    daemon.on("queues", {"queues": views})
    _, busy, still, lost, throttled, slow, rested = stoker("queues").stdout.splitlines()
    assert "  throttled, goes on in 1m" in throttled
    assert busy.endswith("  1234      0  2 cancelled")
    assert still.endswith("  paused")
    assert lost.endswith("  no pool")
    assert slow.endswith("  waits for rate")
    assert "waits" not in rested
    assert daemon.params("queues") == [{}]


def test_queues_shows_how_long_jobs_waited_and_ran_where_some_did(daemon: ScriptedDaemon, stoker: Run) -> None:
    spread = {"count": 7, "p50": 0.00042, "p95": 0.25, "p99": 4000.0}
    daemon.on(
        "queues", {"queues": [queue(wait_secs=spread, run_secs=spread), queue("new", wait_secs=spread), queue("q")]}
    )
    assert stoker("queues").stdout.splitlines()[4:] == [
        "",
        "In the last five minutes, how long jobs waited and ran:",
        "QUEUE   WAIT 50%    95%   99%  RUN 50%    95%   99%  FAIL/S  RETRY/S",
        "thumbs     0.4ms  250ms  1h6m    0.4ms  250ms  1h6m     0.0      0.2",
        "new        0.4ms  250ms  1h6m                           0.0      0.2",
    ]


def test_pools_says_why_one_is_degraded(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("pools", {"pools": [pool(state="degraded", reason="it dies at boot"), pool("other")]})
    assert stoker("pools").stdout.splitlines()[-2] == "pool thumbs degraded: it dies at boot"


TRACEBACK = "the worker exited with code 1; its stderr ends:\n" + "\n".join(f"\tline {n}" for n in range(1, 21))


def test_of_a_long_reason_the_end_is_shown_where_several_pools_are(daemon: ScriptedDaemon, stoker: Run) -> None:
    views = [pool(state="degraded", reason=TRACEBACK), pool("other")]
    daemon.on("pools", {"pools": views})
    daemon.on("status", status(pools=views))
    for command in ("pools", "status"):
        lines = stoker(command).stdout.splitlines()
        said = lines[lines.index("pool thumbs degraded: the worker exited with code 1; its stderr ends:") + 1 :]
        assert said[:3] == ["  … 12 lines more: `stoker pools thumbs`", "          line 13", "          line 14"]
        assert said[8:10] == [
            "          line 20",
            DEGRADED_ADVICE,
        ]


def test_of_one_pool_the_reason_is_shown_in_full(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("pools", {"pools": [pool(state="degraded", reason=TRACEBACK)]})
    lines = stoker("pools", "thumbs").stdout.splitlines()
    assert [line.strip() for line in lines[3:-1]] == [f"line {n}" for n in range(1, 21)]


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_the_lines_of_a_reason_are_cut_but_its_first_is_not(daemon: ScriptedDaemon, stoker: Run) -> None:
    reason = "\n".join(["the worker " + "exited " * 20, "x" * 300, "漢" * 300, "\x1b[2Jboom"])
    daemon.on("pools", {"pools": [pool(state="degraded", reason=reason)]})
    first, latin, chinese, steering, _ = stoker("pools").stdout.splitlines()[2:]
    assert first.endswith("exited " * 20)
    assert latin == "  " + "x" * 77 + "…"
    assert chinese.rstrip("…").strip() == "漢" * 38
    assert steering == "  \\x1b[2Jboom"


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"size": 4}, "4"),
        ({"size": 3}, "3 of 4"),
        ({"size": 3, "min": 2, "max": 8}, "3 of 2-8"),
        ({"size": 0, "min": 0, "max": 0}, "0"),
    ],
)
def test_the_size_is_told_with_its_bounds_where_it_may_vary(
    daemon: ScriptedDaemon, stoker: Run, changes: dict[str, int], shown: str
) -> None:
    daemon.on("pools", {"pools": [pool(**changes)]})
    header, row = stoker("pools").stdout.splitlines()
    end = header.index("SIZE") + len("SIZE")
    assert row[:end].endswith(f"ready  {shown}" if len(shown) >= 4 else f"ready  {shown:>4}")


@pytest.mark.parametrize(
    ("state", "shown"),
    [("ready", "restarting"), ("starting", "restarting"), ("degraded", "degraded"), ("stopping", "stopping")],
)
def test_a_pool_that_is_being_restarted_says_so_unless_there_is_worse(
    daemon: ScriptedDaemon, stoker: Run, state: str, shown: str
) -> None:
    daemon.on("pools", {"pools": [pool(state=state, restarting=True, generation=3, recycled=17)]})
    row = stoker("pools").stdout.splitlines()[1].split()
    assert (row[1], row[-3:]) == (shown, ["17", "3", "thumbs"])


def test_the_generations_of_workers_are_told_once_there_is_more_than_the_first(
    daemon: ScriptedDaemon, stoker: Run
) -> None:
    views = [
        worker(generation=2, job=None),
        worker(1, state="idle", job=None),
        worker(2, generation=0, pid=None, state="waiting", job=None, jobs_done=0, rss=None, age_secs=None),
    ]
    daemon.on("workers", {"workers": views})
    assert stoker("workers").stdout.splitlines() == [
        "WORKER    GEN   PID  STATE    DONE  RSS    AGE  JOB",
        "thumbs/0    2  4711  busy       12  15M  3h20m",
        "thumbs/1    1  4711  idle       12  15M  3h20m",
        "thumbs/2             waiting     0",
    ]


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


LONG = {"count": 10**9, "p50": 0.0099, "p95": 12.5 * 86400, "p99": 12.5 * 86400}


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("command", ["status", "queues", "pools", "workers"])
def test_tables_fit_80_columns(daemon: ScriptedDaemon, stoker: Run, command: str) -> None:
    views = {
        "pools": [
            pool("thumbnails", queues=["thumbnails", "thumbnails-urgent", "previews", "contact-sheets"]),
            pool(size=12, min=10, max=16, restarting=True, generation=12, recycled=1234, jobs_done=123_456),
        ],
        "queues": [
            queue("thumbnails", paused=True, pending=100_000, done=1_234_567, cancelled=12, expired=13),
            queue("previews", wait_secs=LONG, run_secs=LONG, ends_5m={"failed": 1234.5, "retried": 12345.6}),
        ],
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


def test_pools_shows_how_several_queues_share_one(daemon: ScriptedDaemon, stoker: Run) -> None:
    def share(queue: str, weight: int = 1, reserve: int = 0) -> dict[str, object]:
        return {"queue": queue, "weight": weight, "reserve": reserve, "running": 0, "workers": 0.5, "used_secs": 12.5}

    views = [
        pool("even", queues=["a", "b"], shares=[share("a"), share("b")]),
        pool("special", queues=["a", "b"], shares=[share("a", 3, 1), share("b", 1, 2)]),
        pool("strict", queues=["a", "b"], order="strict", shares=[share("a"), share("b")]),
    ]
    daemon.on("pools", {"pools": views})
    _, even, special, strict = stoker("pools").stdout.splitlines()
    assert even.endswith("  a, b")
    assert special.endswith("  a weight 3 reserve 1, b reserve 2")
    assert strict.endswith("  a before b")
