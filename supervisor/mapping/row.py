"""A line as a pool knows it: a job."""

import msgspec

from supervisor.core.job import Ready
from supervisor.lines.line import Line

NAME = "map"  # of the pool and of the queue, as workers see them


class Row(Ready, kw_only=True):
    line: Line

    @property
    def size(self) -> int:
        """Bytes of its payload."""
        return len(memoryview(self.payload))


def row(line: Line, id: str) -> Row:
    """Of a line that has a payload, before its first attempt."""
    assert line.payload is not None
    return Row(
        seq=line.number,
        id=id,
        queue=NAME,
        payload=msgspec.Raw(line.payload),
        priority=0,
        attempt=0,
        charged=0,
        crashes=0,
        interruptions=0,
        timeout=None,
        max_attempts=None,
        expires_at=None,
        due_at=0,
        line=line,
    )
