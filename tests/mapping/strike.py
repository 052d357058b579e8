"""`stoker map` that ends itself at a chosen moment: `python -m tests.mapping.strike AT HOW -- ARGS…`.

AT is which of the things that it does to files, counted from its start, is its last; HOW: before that, after it, or
(of a write) when half is written. Files are written and noted in small pieces, so that these moments come often.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from supervisor.cli.main import main
from supervisor.config.model import Backoff, QueueConfig
from supervisor.mapping import settings, writing

DONE_TO_FILES = ("pwrite", "fsync", "fdatasync", "replace", "unlink", "ftruncate")
SMALL = {"PAUSE": 0.002, "GROUP": 200, "CHECKPOINT": 0.005, "SHARE": 0}


class Blow:
    def __init__(self, at: int, how: str) -> None:
        self._left = at
        self._how = how

    def around(self, name: str) -> Callable[..., Any]:
        original = getattr(os, name)

        def act(*args: Any, **more: Any) -> Any:
            self._left -= 1
            if self._left:
                return original(*args, **more)
            if self._how == "half" and name == "pwrite":
                fd, data, offset = args
                original(fd, data[: len(data) // 2], offset)
            elif self._how == "after":
                original(*args, **more)
            return os.kill(os.getpid(), signal.SIGKILL)

        return act


def _soon(wanted: settings.Settings) -> QueueConfig:
    """A line is tried again at once."""
    return QueueConfig(name=settings.NAME, max_attempts=wanted.retries + 1, backoff=Backoff(base=0.001, cap=0.001))


if __name__ == "__main__":
    at, how = int(sys.argv[1]), sys.argv[2]
    sys.argv[1:] = ["map", *sys.argv[4:]]
    blow = Blow(at, how)
    with (
        patch.multiple(os, **{name: blow.around(name) for name in DONE_TO_FILES}),
        patch.multiple(writing, **SMALL),
        patch.object(settings.Settings, "queue", _soon),
    ):
        main()
