"""What every handler works with."""

from collections.abc import Callable
from typing import NamedTuple

from supervisor.control.access import Caller
from supervisor.control.receiving import Parts
from supervisor.control.service import Service


class Context(NamedTuple):
    """Of one connection. `now` tells microseconds since 1970 in UTC, `parts` has the batches that it has begun to
    send."""

    service: Service
    now: Callable[[], int]
    caller: Caller
    parts: Parts
