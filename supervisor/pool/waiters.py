"""Who waits for which job to end."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from supervisor.core.job import Job, Outcome

Told = Callable[[str, Job | None], None]  # an id and its final job; None: it was deleted
# The same of whoever collects many: of an attempt its outcome, as soon as that is on disk, also when it was not the
# last one; of any other end the job as it was left.
Heard = Callable[[str, Outcome | Job | None], None]


class Waiters:
    """Some wait for a job, and are told once. Others collect it: they hear of each of its attempts and of its end,
    without a read of the store for each, until they let it go."""

    def __init__(self) -> None:
        self._told: dict[str, list[Told]] = {}
        self._heard: dict[str, Heard] = {}

    def __contains__(self, job_id: str) -> bool:
        """Whether somebody waits for it."""
        return job_id in self._told

    def __iter__(self) -> Iterator[str]:
        """Every job that is to be left where it is: it is waited for, or collected."""
        return chain(self._told, self._heard)

    def add(self, job_id: str, told: Told) -> None:
        self._told.setdefault(job_id, []).append(told)

    def remove(self, job_id: str, told: Told) -> None:
        waiting = self._told.get(job_id)
        if waiting is not None and told in waiting:
            waiting.remove(told)
            if not waiting:
                del self._told[job_id]

    def collect(self, job_id: str, heard: Heard) -> None:
        """One collects a job, the last to say so."""
        self._heard[job_id] = heard

    def let_go(self, job_id: str) -> None:
        self._heard.pop(job_id, None)

    def concerns(self, job_id: str) -> bool:
        """Whether anybody is to be told how the job ended that no worker has brought to its end."""
        return job_id in self._told or job_id in self._heard

    def recorded(self, job_id: str, outcome: Outcome) -> None:
        """An attempt's outcome is on disk."""
        heard = self._heard.get(job_id)
        if heard is not None:
            heard(job_id, outcome)

    def tell(self, job: Job) -> None:
        for told in self._told.pop(job.id, ()):
            told(job.id, job)
        heard = self._heard.get(job.id)
        if heard is not None:
            heard(job.id, job)

    def found(self, jobs: Sequence[Job | None], ids: Sequence[str]) -> None:
        """The store's answer about jobs that ended while somebody waited."""
        for job, job_id in zip(jobs, ids, strict=True):
            if job is None:
                self.gone(job_id)
            elif job.state.final:
                self.tell(job)

    def gone(self, job_id: str) -> None:
        for told in self._told.pop(job_id, ()):
            told(job_id, None)
        heard = self._heard.get(job_id)
        if heard is not None:
            heard(job_id, None)
