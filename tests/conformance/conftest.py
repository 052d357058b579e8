import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from supervisor.cli.app import cli
from supervisor.pool import procfs

Check = Callable[..., "Report"]
HERE = Path(__file__).parent / "workers"


def naughty(name: str, *args: str) -> list[str]:
    """The argv of a program in tests/conformance/workers."""
    return [sys.executable, "-S", "-E", str(HERE / f"{name}.py"), *args]


def stoker(*arguments: str, input: str | None = None) -> Result:
    return CliRunner().invoke(
        cli, ["check-worker", *arguments], input=input, catch_exceptions=False, prog_name="stoker"
    )


def gone(pid: int) -> bool:
    """Whether the process has ended; who waits for it does not matter."""
    found = procfs.stat(pid)
    return found is None or found.state in "ZX"


class Report:
    """What `stoker check-worker --json` said, and how it exited."""

    def __init__(self, stdout: str, exit_code: int) -> None:
        self.exit_code = exit_code
        self.document: dict[str, Any] = json.loads(stdout)
        self.trials: dict[str, dict[str, Any]] = {trial["trial"]: trial for trial in self.document["trials"]}

    def of(self, trial: str) -> tuple[str, str | None]:
        return self.trials[trial]["level"], self.trials[trial]["kind"]

    def words(self, trial: str) -> str:
        """All that is said of a trial."""
        return " | ".join(str(self.trials[trial][part]) for part in ("found", "wants", "cause", "stderr"))


@pytest.fixture(autouse=True)
def _plain_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tester leaves out of a worker's environment, and says so, is not set by chance."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


@pytest.fixture
def check() -> Check:
    """Run the command in this process: check(argv, "--only", "eof") -> Report."""

    def run(argv: list[str], *options: str) -> Report:
        result = stoker("--json", *options, "--", *argv)
        return Report(result.stdout, result.exit_code)

    return run
