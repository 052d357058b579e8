"""The moments in the life of a job at which a daemon can be made to end itself."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from supervisor.pool import remains
from supervisor.pool.child import Child
from supervisor.pool.feeder import Feeder
from supervisor.pool.life import Life
from supervisor.store.sqlite import changes
from supervisor.store.sqlite.store import SqliteStore
from supervisor.store.writer import Writer
from tests.crash.striking import Arm, Strike, after, around, before


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
    "checked out": after(Feeder, "_check_out"),
    "request written": after(Life, "start"),
    "claim recorded": after(Writer, "_write", _has_claims),
    "claim on disk": after(Writer, "_write", _has_firsts),
    "before commit": before(SqliteStore, "commit", _by_the_writer),
    "after commit": after(SqliteStore, "commit", _by_the_writer),
    "submit on disk": after(Writer, "_write", _has_submits),
    "outcome on disk": after(Writer, "_write", _has_outcomes),
    "half a reply": after(Life, "_hear_chunk", _has_half_a_line),
    "reply read": after(Feeder, "finished"),
    "tree ending": after(Child, "signal"),
    "tree ended": before(Life, "_judge", _has_a_run),
    "previous half ended": around(remains, "end_processes", _after_the_first),
    "previous ended": after(remains.Remains, "end_previous"),
    "recovering": after(changes, "recover"),
    "recovered": after(SqliteStore, "recover"),
}
