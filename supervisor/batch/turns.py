"""Whose turn it is among the batches of a queue."""

from __future__ import annotations

from collections.abc import Iterable

from supervisor.batch.runner import Runner

AT_ONCE = 8  # batches of one queue that are fed side by side; the others wait in the order in which they came
MOST = 64  # with those that rest: each has its files open


class Turns:
    """Runners by queue. Thousands may wait, and nothing here looks at them all."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[str, Runner]] = {}
        self._begun: dict[str, dict[str, Runner]] = {}

    @property
    def queues(self) -> Iterable[str]:
        """Those of which some wait."""
        return [*self._waiting]

    def join(self, runner: Runner) -> None:
        """Behind those that wait already."""
        self._waiting.setdefault(runner.status.queue, {})[runner.status.id] = runner

    def begin(self, runner: Runner) -> None:
        """Whether it had its turn or not."""
        _remove(self._waiting, runner)
        self._begun.setdefault(runner.status.queue, {})[runner.status.id] = runner

    def leave(self, runner: Runner) -> None:
        """It has come to its end, or goes on no more."""
        _remove(self._begun, runner)

    def at_work(self, queue: str) -> int:
        """How many share the queue."""
        return sum(not runner.resting for runner in self._begun.get(queue, {}).values())

    def begun(self, queue: str) -> int:
        """The same with those that rest."""
        return len(self._begun.get(queue, ()))

    def next(self, queue: str) -> Runner | None:
        """Who has its turn now; None: nobody waits, or those that are at work are enough."""
        if self.begun(queue) >= MOST or self.at_work(queue) >= AT_ONCE:
            return None
        return next(iter(self._waiting.get(queue, {}).values()), None)


def _remove(runners: dict[str, dict[str, Runner]], runner: Runner) -> None:
    queue = runner.status.queue
    of_queue = runners.get(queue, {})
    of_queue.pop(runner.status.id, None)
    if not of_queue:
        runners.pop(queue, None)
