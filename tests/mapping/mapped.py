"""Whole runs with real workers: in this process, or as the command that a person types."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from supervisor.config.model import Backoff
from supervisor.mapping.ending import Ending
from supervisor.mapping.run import run
from supervisor.mapping.settings import Settings
from tests.workers import HERE

PATIENCE = 60.0  # seconds; for a machine that has much else to do
SOON = Backoff(base=0.01, cap=0.02)


class Mapped(NamedTuple):
    """`records`: what the output has, by the number of its line."""

    ending: Ending
    records: dict[int, dict[str, Any]]

    @property
    def results(self) -> list[Any]:
        """Of a run in which every line has passed."""
        return [record["result"] for record in self.records.values()]

    def error(self, number: int = 1) -> dict[str, Any]:
        error: dict[str, Any] = self.records[number]["error"]
        return error


def mapped(folder: Path, command: Sequence[str], payloads: Sequence[Any], **more: Any) -> Mapped:
    """One worker, and a record for each payload."""
    (folder / "in").write_bytes(b"".join(json.dumps(payload).encode() + b"\n" for payload in payloads))
    plain: dict[str, Any] = {"input": folder / "in", "output": folder / "out", "records": True, "backoff": SOON}
    ending = run(Settings(command=tuple(command), cwd=folder, **(plain | more)))
    return Mapped(ending, records_of(folder / "out"))


def records_of(output: Path) -> dict[int, dict[str, Any]]:
    records = [json.loads(line) for line in output.read_bytes().splitlines()]
    return {record["line"]: record for record in records}


class Command:
    """`stoker map` as a process, with pipes for what is not in a file. What it started is gone when this is left."""

    def __init__(self, *arguments: str, cwd: Path, **more: Any) -> None:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "supervisor", "map", *arguments],
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": str(HERE.parent.parent)},
            **(pipes | more),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def say(self, *payloads: Any) -> None:
        """Lines of its input."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"".join(json.dumps(payload).encode() + b"\n" for payload in payloads))
        self.process.stdin.flush()

    def hear(self) -> Any:
        """The next line of its output."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, bytes, str]:
        """After the end of its input: exit code, the rest of its output, and what it said."""
        output, said = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, output or b"", (said or b"").decode()

    def exits(self) -> tuple[int, str]:
        """The same while its input goes on."""
        code = self.process.wait(PATIENCE)
        assert self.process.stderr is not None
        return code, self.process.stderr.read().decode()
