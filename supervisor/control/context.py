"""What every handler works with."""

from collections.abc import Callable
from typing import NamedTuple

from supervisor.control.access import Caller
from supervisor.control.service import Service


class Context(NamedTuple):
    """Of one connection. `now` tells microseconds since 1970 in UTC."""

    service: Service
    now: Callable[[], int]
    caller: Caller
