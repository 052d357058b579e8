"""A real daemon that sends itself a signal at a chosen moment, once it has come to it for the nth time.

    python -m tests.crash.daemon_at CONFIG MOMENT NTH SIGNAL HIT

Creates the file HIT just before it does.
"""

import os
import signal
import sys
from pathlib import Path

from supervisor.config.load import load
from supervisor.daemon.main import serve
from tests.crash.every_moment import EVERY_MOMENT


def main(config: str, moment: str, nth: str, name: str, hit: str) -> int:
    number = signal.Signals[name]
    left = int(nth)

    def strike() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            Path(hit).touch()
            os.kill(os.getpid(), number)

    EVERY_MOMENT[moment](strike)
    return serve(load(Path(config), environ=os.environ, is_root=os.geteuid() == 0))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
