"""Tiny worker programs, well-behaved and not: one for each thing that can go wrong with a worker.

Each says in its docstring which one it provokes and what its payload or its arguments ask for. A payload of null asks
for good behaviour: all but those that never can (never_reads, never_ready, boots_badly) answer it, so that a test sees
the slot work before and after. All but the fast ones (echo, answers_once_and_exits.sh) take two arguments more: `--fd`,
for pools with `channel = "fd"`, and `--ready`, for those with `ready = true`.
"""

import os
import shlex
import sys
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

HERE = Path(__file__).parent


def command(name: str, *args: str) -> list[str]:
    """The argv that runs the program `name` ("echo", or with its suffix: "answers_once_and_exits.sh").

    Python without site packages and environment: it boots in a third of the time.
    """
    path = HERE / (name if "." in name else f"{name}.py")
    if not path.is_file():
        raise FileNotFoundError(f"tests/workers has no program {name!r}")
    interpreter = ["sh"] if path.suffix == ".sh" else [sys.executable, "-S", "-E"]
    return [*interpreter, str(path), *args]


def wrapped(name: str, *args: str) -> list[str]:
    """The same below a shell that stays its parent, out of reach of a signal that ends with the daemon's own child."""
    return ["sh", "-c", f"{shlex.join(command(name, *args))}; true"]


class Mark(NamedTuple):
    """One line of the side file that marker.py writes; `at` in nanoseconds of CLOCK_MONOTONIC."""

    event: str  # begin, alive or end
    id: str
    attempt: int
    pid: int
    at: int


def marks(side_file: Path) -> list[Mark]:
    """What the side file says, in the order written; nothing when no worker has begun yet."""
    if not side_file.exists():
        return []
    rows = (row.split() for row in side_file.read_text().splitlines())
    return [Mark(event, job, int(attempt), int(pid), int(at)) for event, job, attempt, pid, at in rows]


class Gate:
    """Holds back the workers whose payload names it (`{"gate": gate.path}`) until `open`; then lets every one pass."""

    def __init__(self, folder: Path, name: str = "gate") -> None:
        self.path = str(folder / name)
        os.mkfifo(self.path)
        self._fd: int | None = None

    def open(self) -> None:
        if self._fd is None:
            # Read and write: a FIFO opened for writing alone would block, or fail, until a worker waits.
            self._fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)

    def close(self) -> None:
        """Workers that ask from now on wait again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
