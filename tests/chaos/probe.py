"""The healthy pool's client, started and read."""

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.chaos import healthy
from tests.crash.house import PATIENCE, ROOT


class Probe:
    def __init__(self, socket: Path, rate: float, folder: Path) -> None:
        self._out = folder / "latencies"
        argv = [sys.executable, "-m", healthy.__name__, str(socket), str(rate), str(self._out)]
        self._process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True)

    def latencies(self) -> list[tuple[float, float]]:
        """(when it was submitted, seconds until its result) of every job; once it has been left."""
        rows = (row.split() for row in self._out.read_text().splitlines())
        return [(float(began), float(took)) for began, took in rows]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            code = self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()
        if error is None:
            assert code == 0, f"the healthy pool's client ended with {code}"
