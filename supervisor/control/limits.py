"""How much one call may ask for, and one answer may hold."""

from collections.abc import Sequence

from protocol.control import MAX_ANSWER
from supervisor.core.job import Job
from supervisor.errors import TooLarge

MAX_PAGE = 200  # jobs of one list


def too_many(name: str, count: int, limit: int) -> TooLarge:
    return TooLarge(
        f"{name}: {count} in one call, at most {limit} (daemon.max_jobs): split them over several calls",
        size=count,
        limit=limit,
    )


def answer_too_large(size: int, advice: str) -> TooLarge:
    return TooLarge(
        f"the answer would have {size} bytes, and one has at most {MAX_ANSWER}: {advice}", size=size, limit=MAX_ANSWER
    )


def check_weight(jobs: Sequence[Job], advice: str) -> None:
    """Refuse what cannot fit before it is copied into one line. Raises TooLarge."""
    weight = sum(len(job.payload or b"") + len(job.result or b"") for job in jobs)
    if weight > MAX_ANSWER:
        raise answer_too_large(weight, advice)
