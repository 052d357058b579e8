"""What is done to all jobs that match a filter: which states each act takes, and how it is counted."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from supervisor.core.job import Cause, State


class Act(StrEnum):
    RETRY = "retry"
    CANCEL = "cancel"
    DELETE = "delete"


FINAL = tuple(state for state in State if state.final)

TAKES: Mapping[Act, tuple[State, ...]] = MappingProxyType(
    {
        Act.RETRY: (State.FAILED, State.CANCELLED, State.EXPIRED),
        Act.CANCEL: (State.PENDING, State.RUNNING),
        Act.DELETE: (State.PENDING, *FINAL),
    }
)

# Where the filter names no state. What somebody ended on purpose does not come back with the failed ones, and what
# still waits for its turn is not removed with what is over.
_UNLESS_SAID: Mapping[Act, tuple[State, ...]] = MappingProxyType(
    {Act.RETRY: (State.FAILED,), Act.CANCEL: TAKES[Act.CANCEL], Act.DELETE: FINAL}
)


def unless_said(act: Act, cause: Cause | None) -> tuple[State, ...]:
    """The states that are meant where the filter names none, but perhaps a cause."""
    if act is Act.RETRY and cause is Cause.REPLACED:
        return (State.CANCELLED,)  # no failed job has it, and nobody means none
    return _UNLESS_SAID[act]


class Swept(msgspec.Struct, kw_only=True):
    """So many matched when their turn came, were changed, or were `skipped`: retries whose `unique` value another job
    holds. What is missing to `matched` are running jobs whose own end came before that of a cancel."""

    matched: int = 0
    changed: int = 0
    skipped: int = 0
