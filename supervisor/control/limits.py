"""How much one call may ask for, and one answer may hold."""

from collections.abc import Sequence

from protocol.control import MAX_ANSWER, ResizeParams
from supervisor.control.complaints import cut
from supervisor.core.job import Job
from supervisor.errors import Invalid, TooLarge

MAX_PAGE = 200  # jobs of one list
MAX_EVENTS = 1000  # of one page of the journal
MAX_WORKERS = 1000  # of one pool


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
    weight = sum(map(weight_of, jobs))
    if weight > MAX_ANSWER:
        raise answer_too_large(weight, advice)


def weight_of(job: Job) -> int:
    """About as many bytes as it takes in an answer."""
    return len(job.payload or b"") + len(job.result or b"")


def caps(params: ResizeParams) -> tuple[int, int]:
    """The fewest and the most workers that a resize asks for. Raises Invalid."""
    for name, count in (("size", params.size), ("min", params.min), ("max", params.max)):
        if count is not None and not 0 <= count <= MAX_WORKERS:
            raise Invalid(f"{name}: must be between 0 and {MAX_WORKERS}, got {cut(str(count))}")
    match params.size, params.min, params.max:
        case int(size), None, None:
            return size, size
        case None, int(low), int(high):
            if low > high:
                raise Invalid(f"min: must be at most max, which is {high}, got {low}")
            return low, high
    raise Invalid("size: give either size, or min and max together")
