"""How long jobs are kept after their end."""

from collections.abc import Iterable, Mapping

import msgspec

from supervisor.config.model import Retention
from supervisor.core.job import MICROS, State

STEPS = 50, 2000  # jobs that one step of a sweep may delete, at least and at most
STEP_SECS = 0.005  # how long a step should have the store to itself

_FOREVER = float("inf")


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """Of a queue's jobs in a final state: those that finished after `since` are kept, and no more than `most`, the last
    ones to finish. None: no such bound."""

    queue: str
    state: State
    since: int | None
    most: int | None
    now: int = 2**63 - 1

    def order(self, finished_at: int, seq: int) -> tuple[bool, int, int]:
        """Of too many the first in this order go. What finished in the future did so before the clock was set back:
        it goes before all that has finished since, which would else be gone as soon as it is done."""
        return finished_at <= self.now, finished_at, seq


def keeps(queues: Iterable[str], of: Mapping[str, Retention], others: Retention, now: int) -> list[Keep]:
    """What is kept at `now` of each of these queues; `others` is for those that `of` does not have. Without the states
    of which everything is kept."""
    return [keep for queue in queues for keep in _of_queue(queue, of.get(queue, others), now)]


def _of_queue(queue: str, retention: Retention, now: int) -> Iterable[Keep]:
    for state, age, most in (
        (State.DONE, retention.done, retention.max_done),
        (State.FAILED, retention.failed, retention.max_failed),
        (State.CANCELLED, retention.cancelled, retention.max_cancelled),
        (State.EXPIRED, retention.expired, retention.max_expired),
    ):
        if age != _FOREVER or most is not None:
            yield Keep(
                queue=queue, state=state, since=None if age == _FOREVER else now - int(age * MICROS), most=most, now=now
            )


def next_step(step: int, took: float) -> int:
    """How many jobs to delete next, if `step` of them took the store so many seconds.

    By time and not by number: what a job costs depends on the disk and on what it carries. On a busy store steps come
    seldom, and small ones would not keep up with the jobs that end meanwhile.
    """
    least, most = STEPS
    if took > 2 * STEP_SECS:
        return max(least, step // 2)
    return min(most, step * 2) if took < STEP_SECS / 2 else step
