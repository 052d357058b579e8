"""The table of everything that can go wrong with a worker, and of every limit: who provokes it, which test looks.

A test says it with a marker: `@pytest.mark.provokes("desync", program="desync.py")`, a program of tests/workers. Of a
parametrized test with a parameter called `program` only the cases of that program count. At the end of a run the rows
whose tests have run are shown. tests/test_table.py holds the list below against the protocol's document and the
configuration, and wants a test for each row.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).parent
FEW = 12  # rows that have not run are named

# By what the protocol's table calls it: a part of the first cell of its line in protocol/README.md, where it has one.
WRONG: dict[str, str | None] = {
    "error": "error` reply",
    "throttled": None,
    "desync": "reply with another id",
    "garbage": "a line that is not a reply",
    "id dropped": "reply without id, having sent ids before",
    "oversize": "a line longer than the pool's `max_line`",
    "result too large": "a result that, with its job's payload, would not fit",
    "result over max_result": "a result longer than the queue's `max_result`",
    "extra line": "a second line after the final reply, or any line while idle",
    "exited": "exit, crash or closed stdout during a job",
    "closed stdin": "closed stdin",
    "dies idle": "death while idle",
    "no reply": "no final reply within the timeout",
    "half a line": "half a line",
    "never reads": "stdin never read",
    "dies at boot": "crash at boot",
    "not found": "program not found",
    "never ready": "not ready within `boot_timeout`",
    "ready twice": None,
    "poison": "crashes on one job `max_crashes`",
    "cancelled": "(the job is cancelled)",
    "daemon stops": "(the daemon stops)",
    "daemon killed": "(the daemon is killed)",
    "out of memory": "more memory than `memory_limit`",
    "grandchildren": None,
    "stray print": None,
    "asks for retirement": None,
}

# By their keys in [pools.NAME] and [queues.NAME].
POOL_LIMITS = (
    *("min", "max", "grow_after", "shrink_after", "order", "weight", "reserve"),
    *("channel", "ready", "require_id", "timeout", "boot_timeout", "kill_grace", "max_line"),
    *("env_files", "clear_env", "user", "group", "nice", "umask", "rlimits", "cpu_affinity"),
    *("max_jobs", "max_age", "max_idle", "max_rss", "recycle_jitter", "memory_limit"),
)
QUEUE_LIMITS = (
    *("max_attempts", "max_crashes", "max_payload", "max_result", "max_pending"),
    *("backoff", "on_daemon_crash", "on_throttle"),
    *("rate", "burst", "concurrency"),
)
# These have no keys.
FIXED_LIMITS = ("stderr line", "stderr rate", "stderr tail", "stderr flood", "respawn backoff")

LIMITS = (*POOL_LIMITS, *QUEUE_LIMITS, *FIXED_LIMITS)
ROWS = (*WRONG, *LIMITS)


class Claim(NamedTuple):
    """That a test provokes a row with a program; `test` is its file, below tests, and its name."""

    row: str
    program: str | None
    test: str


# -- what the sources say ------------------------------------------------------------------------------------------


def claims() -> list[Claim]:
    """Of every test there is, be it collected now or not."""
    return [claim for path in sorted(TESTS.rglob("test_*.py")) for claim in _claims_of(path)]


def _claims_of(path: Path) -> Iterator[Claim]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.provokes":
                    rows = [ast.literal_eval(argument) for argument in decorator.args]
                    named = {word.arg: ast.literal_eval(word.value) for word in decorator.keywords}
                    test = f"{path.relative_to(TESTS)}::{node.name}"
                    yield from (Claim(row, named.get("program"), test) for row in rows)


# -- what a run shows ----------------------------------------------------------------------------------------------


class Table:
    """The plugin of one run."""

    def __init__(self) -> None:
        self._outcomes: dict[Claim, set[str]] = defaultdict(set)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        """A test's report carries what it claims, for it may come from another process (pytest-xdist)."""
        for item in items:
            item.user_properties += [("provokes", [*claim]) for claim in _claims_of_item(item)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            for name, claim in report.user_properties:
                if name == "provokes":
                    self._outcomes[Claim(*claim)].add(report.outcome)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._outcomes:
            return
        terminalreporter.section("what goes wrong with workers, and every limit")
        for row in ROWS:
            for claim in sorted((claim for claim in self._outcomes if claim.row == row), key=str):
                outcome = self._outcome(claim)
                markup = {"green": True} if outcome == "passed" else {"red": outcome == "failed"}
                terminalreporter.write(f"{outcome:<8}", **markup)
                program = claim.program or "(in the test)"
                terminalreporter.write_line(f"{row:<21}{program:<28}{_short(claim.test)}")
        if left := [row for row in ROWS if not any(claim.row == row for claim in self._outcomes)]:
            few = len(left) <= FEW
            terminalreporter.write_line(f"not run: {', '.join(left) if few else f'{len(left)} other rows'}")

    def _outcome(self, claim: Claim) -> str:
        return next(outcome for outcome in ("failed", "passed", "skipped") if outcome in self._outcomes[claim])


def _claims_of_item(item: pytest.Item) -> Iterator[Claim]:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    for marker in item.iter_markers("provokes"):
        program = marker.kwargs.get("program")
        mine = parameters.get("program")
        if mine is not None and program is not None and Path(mine).stem != Path(program).stem:
            continue
        if unknown := {*marker.args} - {*ROWS}:
            raise pytest.UsageError(f"{item.nodeid}: the table of tests/table.py has no row {unknown}")
        name = getattr(item, "originalname", item.name)
        for row in marker.args:
            yield Claim(row, program, f"{item.path.relative_to(TESTS)}::{name}")


def _short(test: str) -> str:
    file, name = test.split("::")
    return f"{file.removesuffix('.py').replace('test_', '')}: {name.removeprefix('test_').replace('_', ' ')}"


def register(config: pytest.Config) -> None:
    """Call it from a conftest's pytest_configure."""
    config.addinivalue_line("markers", "provokes(*rows, program): rows of tests/table.py that this test provokes")
    config.pluginmanager.register(Table(), "stoker-table")
