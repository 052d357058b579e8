"""Who waits for which job to end."""

from collections.abc import Callable, Iterator, Sequence

from supervisor.core.job import Job

Told = Callable[[str, Job | None], None]  # an id and its final job; None: it was deleted


class Waiters:
    def __init__(self) -> None:
        self._told: dict[str, list[Told]] = {}

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._told

    def __iter__(self) -> Iterator[str]:
        return iter(self._told)

    def add(self, job_id: str, told: Told) -> None:
        self._told.setdefault(job_id, []).append(told)

    def remove(self, job_id: str, told: Told) -> None:
        waiting = self._told.get(job_id)
        if waiting is not None and told in waiting:
            waiting.remove(told)
            if not waiting:
                del self._told[job_id]

    def tell(self, job: Job) -> None:
        for told in self._told.pop(job.id, ()):
            told(job.id, job)

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
