"""A line as a pool knows it: a job."""

import msgspec

from supervisor.core.job import Ready
from supervisor.lines.line import Line

NAME = "map"  # of the pool and of the queue, as workers see them


class Row(Ready, kw_only=True, gc=False):
    """What a line does not have has its value here: it need not be said for each."""

    line: Line
    queue: str = NAME
    priority: int = 0
    attempt: int = 0
    charged: int = 0
    crashes: int = 0
    interruptions: int = 0
    timeout: float | None = None
    max_attempts: int | None = None
    expires_at: int | None = None
    due_at: int = 0

    @property
    def size(self) -> int:
        """Bytes of its payload."""
        return len(memoryview(self.payload))


def row(line: Line, id: str) -> Row:
    """Of a line that has a payload, before its first attempt."""
    assert line.payload is not None
    return Row(seq=line.number, id=id, payload=msgspec.Raw(line.payload), line=line)
