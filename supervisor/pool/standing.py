"""How a pool stands, for whoever judges whether jobs are given out as they should be (core.progress)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from supervisor.core.progress import Standing

if TYPE_CHECKING:
    from supervisor.pool.feeder import Feeder
    from supervisor.pool.line import Line
    from supervisor.pool.pool import Pool


class Asked:
    """What was under way as the store was asked, so that its answer can be told from what happened meanwhile."""

    def __init__(self, feeder: Feeder) -> None:
        self._reads = {name: line.reads for name, line in feeder.lines.items() if line.reading}

    def lost(self, line: Line) -> bool:
        """Once the store has answered: whether it owed the line rows before, and still does. It answers in order, so
        they will never come."""
        return line.reading and self._reads.get(line.name) == line.reads


def standing(pool: Pool, feeder: Feeder, due: Mapping[str, int], asked: Asked) -> Standing:
    """`due`: jobs on disk, by queue, of which nobody had begun one when the store was asked; empty where something
    has begun since, or nothing is known."""
    idle = 0 if pool.stopping.is_set() else len(pool.idle)
    waiting = sum(
        _waiting(line, pool, feeder, due, asked) for line in map(feeder.lines.get, pool.config.queues) if line
    )
    return Standing(pool.name, idle, waiting, pool.begun)


def _waiting(line: Line, pool: Pool, feeder: Feeder, due: Mapping[str, int], asked: Asked) -> int:
    """Jobs of the line that one of the pool's idle workers should have by now."""
    if feeder.holds_back or not feeder.may_begin(line):
        return 0
    if pool.sharing is not None and not pool.sharing.may(line.name, len(pool.idle)):
        return 0
    if line.ahead:
        return line.waiting
    return due.get(line.name, 0) if _should_be_known(line, feeder, asked) else 0


def _should_be_known(line: Line, feeder: Feeder, asked: Asked) -> bool:
    """Whether the look-ahead should have what is due on disk. It may lack what somebody is about to cancel, delete,
    replace or let expire, and rows that wait for their keys."""
    if line.lanes is not None or line.swept_by or line.overdue or feeder.held or feeder.replacing or feeder.expiring:
        return False
    return not line.reading or asked.lost(line)


def renew(pool: Pool, feeder: Feeder, asked: Asked) -> None:
    """Read its queues anew, also those that wait for an answer which will not come."""
    for name in pool.config.queues:
        line = feeder.lines[name]
        if asked.lost(line):
            line.reading = False
        line.forget()
    feeder.reread(pool.config.queues)
