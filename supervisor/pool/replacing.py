"""Jobs that a submit on its way to the disk may replace: none of them begins before it is known whether it did.

They are known by queue and `unique`; which job it is, only the store can say. Rejected: to ask it first and hold the
job by its id, which is another turn of the store for each such submit, and may be wrong by the time of the answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from supervisor.core.job import NewJob, OnConflict, Ready
from supervisor.store.port import Submitted

if TYPE_CHECKING:
    from supervisor.pool.feeder import Line

Value = tuple[str, str | None]  # queue, unique


def replaces(jobs: Iterable[NewJob]) -> list[Value]:
    """The values whose holders these jobs would replace."""
    return [(job.queue, job.unique) for job in jobs if job.unique is not None and job.on_conflict is OnConflict.REPLACE]


class Replacing:
    """`reread` reads the front of some queues anew."""

    def __init__(self, lines: Mapping[str, Line], reread: Callable[[Iterable[str]], None]) -> None:
        self._lines = lines
        self._reread = reread
        self._values: Counter[Value] = Counter()

    def __bool__(self) -> bool:
        return bool(self._values)

    def __contains__(self, job: object) -> bool:
        """Whether this row, or new job, may be about to be replaced."""
        assert isinstance(job, Ready | NewJob)
        return (job.queue, job.unique) in self._values

    def begin(self, values: Sequence[Value]) -> None:
        """A submit that would replace their holders is handed over now; it wants `done` or `failed`."""
        self._values.update(values)
        for name in {queue for queue, _ in values}:
            line = self._lines.get(name)
            if line is not None:
                self.keep_out(line)

    def keep_out(self, line: Line) -> None:
        """Whatever the line's look-ahead has of them; also after each read, since what was read is older."""
        uniques = {unique for queue, unique in self._values if queue == line.name}
        found = {row.id for row in line.ahead if row.unique in uniques}
        if found:
            line.ahead.discard(found)

    def done(self, values: Sequence[Value], jobs: Sequence[NewJob], answers: Sequence[Submitted]) -> list[str]:
        """It is on disk; call it before its jobs are offered. Returns the ids of those that it replaced."""
        self._remove(values)
        created = {(job.queue, job.unique) for job, answer in zip(jobs, answers, strict=True) if answer.created}
        # Where its job was answered by its key, whoever has the value keeps it, and is wanted back.
        self._reread({queue for queue, unique in values if (queue, unique) not in created})
        return [answer.replaced for answer in answers if answer.replaced is not None]

    def failed(self, values: Sequence[Value]) -> None:
        """It is not, and never will be."""
        self._remove(values)
        self._reread({queue for queue, _ in values})

    def _remove(self, values: Sequence[Value]) -> None:
        for value in values:
            self._values[value] -= 1
            if not self._values[value]:
                del self._values[value]
