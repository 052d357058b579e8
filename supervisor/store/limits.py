"""Which submits of a batch a limited queue still has room for.

Decided by the writer within the transaction that inserts them: nobody else writes, so the counts are exact, however
many submits share a commit.
"""

from collections.abc import Mapping

from supervisor.core.admission import Full, admit
from supervisor.errors import QueueFull
from supervisor.store.batch import Submit
from supervisor.store.port import Store


def admitted(store: Store, submits: list[Submit], limits: Mapping[str, int]) -> list[Submit]:
    """Those that may enter; each of the others has its error."""
    queues = {job.queue for submit in submits for job in submit.jobs} & limits.keys()
    for submit in submits:
        submit.error = None  # of a try that was rolled back
    if not queues:
        return submits
    named = [job for submit in submits for job in submit.jobs if job.key is not None or job.unique is not None]
    answered = store.answered(named) if named else ()
    verdicts = admit([submit.jobs for submit in submits], answered, store.pending(queues), limits)
    for submit, full in zip(submits, verdicts, strict=True):
        if full is not None:
            submit.error = _refusal(full)
    return [submit for submit, full in zip(submits, verdicts, strict=True) if full is None]


def _refusal(full: Full) -> QueueFull:
    """Without advice: how long to wait is not for the store to say."""
    return QueueFull(
        f"queue {full.queue} is full: {full.pending} jobs are pending, and it takes {full.limit} "
        f"(queues.{full.queue}.max_pending)",
        queue=full.queue,
        wanted=full.wanted,
        pending=full.pending,
        limit=full.limit,
    )
