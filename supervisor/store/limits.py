"""Which submits of a batch may enter: their queues have room, and their `unique` values are free where that matters.

Decided by the writer within the transaction that inserts them: nobody else writes, so the counts are exact, however
many submits share a commit.
"""

from collections.abc import Iterable, Mapping

from supervisor.config.model import QueueConfig
from supervisor.core.admission import Full, Taken, admit
from supervisor.core.job import NewJob, OnConflict, State
from supervisor.errors import Conflict, QueueFull, Refused
from supervisor.store.batch import Submit
from supervisor.store.port import Store


def admitted(store: Store, submits: list[Submit], limits: Mapping[str, int]) -> list[Submit]:
    """Those that may enter; each of the others has its error."""
    contested = [submit for submit in submits if submit.contested]
    if not limits and not contested:
        return submits
    for submit in submits:
        submit.error = None  # of a try that was rolled back
    queues = {job.queue for submit in submits for job in submit.jobs} & limits.keys()
    if not queues and not contested:
        return submits
    named = [job for submit in submits for job in submit.jobs if job.key is not None or job.unique is not None]
    holders = store.holders(named) if named else {}
    pending = store.pending(queues) if queues else {}
    verdicts = admit([submit.jobs for submit in submits], holders, pending, limits)
    for submit, verdict in zip(submits, verdicts, strict=True):
        if verdict is not None:
            submit.error = _refusal(submit, verdict)
    return [submit for submit, verdict in zip(submits, verdicts, strict=True) if verdict is None]


def limit_keys(store: Store, queues: Iterable[QueueConfig]) -> None:
    """Before anything of these queues is read, and after the store's recovery. It may take seconds where a queue with
    many jobs limits keys for the first time."""
    keyed = sorted(queue.name for queue in queues if queue.keyed)
    after: int | None = 0
    while after is not None:
        store.begin()
        after = store.limit_keys(keyed, after)
        store.commit()
        store.tidy()


def _refusal(submit: Submit, verdict: Full | Taken) -> Refused:
    return _full(verdict) if isinstance(verdict, Full) else _taken(submit.jobs[verdict.index], verdict)


def _full(full: Full) -> QueueFull:
    """Without advice: how long to wait is not for the store to say."""
    return QueueFull(
        f"queue {full.queue} is full: {full.pending} pending of the {full.limit} that it takes "
        f"(queues.{full.queue}.max_pending)",
        queue=full.queue,
        wanted=full.wanted,
        pending=full.pending,
        limit=full.limit,
    )


def _taken(job: NewJob, taken: Taken) -> Conflict:
    """`index` says which of the submit's jobs it is about. A holder that is refused too has no id to name."""
    if taken.same_group:
        text = 'unique: an earlier job of this call has the same value: leave one out, or say on_conflict = "replace"'
        return Conflict(text, index=taken.index)
    holder = taken.holder
    if job.on_conflict is OnConflict.REPLACE:
        text = f"unique: job {holder.id} has this value and runs, so it is not replaced: wait for its end, or cancel it"
    else:
        begun = "runs" if holder.state is State.RUNNING else "waits"
        text = f"unique: job {holder.id} has this value and {begun}: wait for its end, cancel it, or replace it"
    return Conflict(text, index=taken.index, holder=holder.id, state=holder.state.value)
