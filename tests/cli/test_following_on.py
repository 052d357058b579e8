"""stoker events --follow: through restarts of the daemon, without a missed or doubled event."""

import json
from typing import Any

import pytest

from supervisor.cli import following
from tests.cli.conftest import Run
from tests.cli.samples import ID, queue
from tests.cli.scripted import HangUp, LastWords, Params, Refuse, ScriptedDaemon
from tests.cli.test_following import event


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "AGAIN_SECS", 0)


def lines(*said: tuple[str, dict[str, Any]]) -> bytes:
    told = [{"jsonrpc": "2.0", "method": method, "params": params} for method, params in said]
    answer = {"jsonrpc": "2.0", "id": 1, "result": {"cursor": "c0"}}
    return b"".join(json.dumps(one).encode() + b"\n" for one in (answer, *told))


class Restarts:
    """A daemon that ends each subscription after so many bytes, and refuses it when there are no more."""

    def __init__(self, daemon: ScriptedDaemon, *lives: bytes | Refuse) -> None:
        self.daemon = daemon
        self._lives = iter(lives)
        daemon.on("subscribe", self._answer)

    def _answer(self, params: Params) -> None:
        life = next(self._lives, Refuse("invalid", "that is all"))
        raise life if isinstance(life, Refuse) else LastWords(life)

    @property
    def asked(self) -> list[Params]:
        return self.daemon.params("subscribe")


def test_it_goes_on_behind_the_last_event_when_the_daemon_is_back(daemon: ScriptedDaemon, stoker: Run) -> None:
    first = lines(("event", event("submitted", cursor="c1")), ("event", event("started", cursor="c2")))
    second = lines(("place", {"cursor": "c5"}))
    restarts = Restarts(daemon, first, second, lines(("event", event("done", cursor="c6"))))
    daemon.on("position", {"ahead": 0, "active": 0})
    daemon.on("queues", {"queues": [queue()]})
    result = stoker("events", "--follow", "--json", "--queue", "thumbs", "--job", ID, "--kind", "done")
    assert [json.loads(line)["kind"] for line in result.stdout.splitlines()] == ["submitted", "started", "done"]
    wanted = {"queue": "thumbs", "job": ID, "kind": ["done"]}
    assert restarts.asked == [wanted, *({"since": since, **wanted} for since in ("c2", "c5", "c6"))]
    assert result.stderr.count("the daemon went away") == 3
    assert result.exit_code == 1


def test_half_an_event_is_none(daemon: ScriptedDaemon, stoker: Run) -> None:
    whole = lines(("event", event("submitted", cursor="c1")), ("event", event("started", cursor="c2")))
    restarts = Restarts(daemon, whole[:-20], lines(("event", event("started", cursor="c2"))))
    result = stoker("events", "--follow", "--since", "c0")
    assert len(result.stdout.splitlines()) == 2
    assert [one["since"] for one in restarts.asked] == ["c0", "c1", "c2"]


def test_what_is_lost_for_good_is_told_where_it_is_missing(daemon: ScriptedDaemon, stoker: Run) -> None:
    first = lines(("event", event("submitted")), ("gap", {"cursor": "c8", "missed": 7, "first": 9}))
    gone = Refuse("gone", "events were removed", first=30)
    restarts = Restarts(daemon, first, gone, lines(("event", event("done", cursor="c30"))))
    result = stoker("events", "--follow")
    shown = result.stdout.splitlines()
    assert shown[1] == "(7 events before number 9 were removed before they were read here)"
    assert shown[2] == "(events before number 30 were removed before they were read here)"
    assert restarts.asked == [{"last": 20}, {"since": "c8"}, {}, {"since": "c30"}]
    assert len(shown) == 4


def test_programs_see_a_gap_as_a_kind(daemon: ScriptedDaemon, stoker: Run) -> None:
    gap = {"cursor": "c8", "missed": 7, "first": 9}
    Restarts(daemon, lines(("gap", gap)))
    [line] = stoker("events", "--follow", "--json").stdout.splitlines()
    assert json.loads(line) == {"kind": "gap", **gap}


def test_a_daemon_that_was_never_there_is_not_waited_for(daemon: ScriptedDaemon, stoker: Run) -> None:
    def answer(params: Params) -> None:
        raise HangUp

    daemon.on("subscribe", answer)
    assert stoker("events", "--follow").exit_code == 3
    daemon.close()
    assert stoker("events", "--follow").exit_code == 3


def test_a_place_that_is_gone_at_the_beginning_is_a_refusal(daemon: ScriptedDaemon, stoker: Run) -> None:
    Restarts(daemon, Refuse("gone", "events after number 3 were removed", first=4))
    result = stoker("events", "--follow", "--since", "c1")
    assert (result.exit_code, result.stderr) == (1, "stoker: events after number 3 were removed\n")
