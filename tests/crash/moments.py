"""The moments at which a daemon can be made to end itself, each found by wrapping a method of the real daemon.

Production code knows nothing of this: a renamed method makes `arm` raise, and the test that wanted it fail.
"""

import threading
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from supervisor.pool import remains
from supervisor.pool.child import Child
from supervisor.pool.feeder import Feeder
from supervisor.pool.life import Life
from supervisor.store.sqlite import changes
from supervisor.store.sqlite.store import SqliteStore
from supervisor.store.writer import Writer

Strike = Callable[[], None]
Arm = Callable[[Strike], None]
When = Callable[..., bool]


def _always(*_: Any) -> bool:
    return True


def _around(owner: Any, name: str, act: Callable[..., Any]) -> Arm:
    """`act` is called in the method's place, with `strike` and the method in front of its arguments."""

    def arm(strike: Strike) -> None:
        original = getattr(owner, name)

        @wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return act(strike, original, *args, **kwargs)

        setattr(owner, name, wrapped)

    return arm


def _before(owner: Any, name: str, when: When = _always) -> Arm:
    def act(strike: Strike, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if when(*args):
            strike()
        return original(*args, **kwargs)

    return _around(owner, name, act)


def _after(owner: Any, name: str, when: When = _always) -> Arm:
    def act(strike: Strike, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        answer = original(*args, **kwargs)
        if when(*args):
            strike()
        return answer

    return _around(owner, name, act)


def _after_the_first(strike: Strike, original: Callable[..., Any], victims: Any, deadline: float) -> None:
    original(sorted(victims)[:1], deadline)
    strike()
    original(victims, deadline)


def _by_the_writer(*_: Any) -> bool:
    return threading.current_thread().name == "stoker-store"


def _has_claims(_: Any, batch: Any, *__: Any) -> bool:
    """One at least that is running now: its outcome is not in the same batch."""
    return not {claim.seq for claim in batch.claims} <= {outcome.seq for outcome in batch.outcomes}


def _has_firsts(_: Any, batch: Any, *__: Any) -> bool:
    return bool(batch.firsts)


def _has_outcomes(_: Any, batch: Any, *__: Any) -> bool:
    return bool(batch.outcomes)


def _has_submits(_: Any, batch: Any, *__: Any) -> bool:
    return bool(batch.submits)


def _has_half_a_line(life: Life, *_: Any) -> bool:
    return life.run is not None and life._conversation._lines.partial > 0


def _has_a_run(life: Life, *_: Any) -> bool:
    return life.run is not None


# At the start, before what ran is pending again, and after it.
BEFORE_RECOVERY = ("previous half ended", "previous ended", "recovering")
BOOT = (*BEFORE_RECOVERY, "recovered")

# Under load these come some ten times a second, all others some hundred times.
RARE = ("tree ending", "tree ended")

# Only where a queue says on_daemon_crash = "fail".
OF_CLAIMS_THAT_COME_FIRST = frozenset({"claim on disk"})

MOMENTS: Mapping[str, Arm] = {
    "checked out": _after(Feeder, "_check_out"),
    "request written": _after(Life, "start"),
    "claim recorded": _after(Writer, "_write", _has_claims),
    "claim on disk": _after(Writer, "_write", _has_firsts),
    "before commit": _before(SqliteStore, "commit", _by_the_writer),
    "after commit": _after(SqliteStore, "commit", _by_the_writer),
    "submit on disk": _after(Writer, "_write", _has_submits),
    "outcome on disk": _after(Writer, "_write", _has_outcomes),
    "half a reply": _after(Life, "_hear_chunk", _has_half_a_line),
    "reply read": _after(Feeder, "finished"),
    "tree ending": _after(Child, "signal"),
    "tree ended": _before(Life, "_judge", _has_a_run),
    "previous half ended": _around(remains, "end_processes", _after_the_first),
    "previous ended": _after(remains.Remains, "end_previous"),
    "recovering": _after(changes, "recover"),
    "recovered": _after(SqliteStore, "recover"),
}
