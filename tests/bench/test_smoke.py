"""Every part of the benchmark still runs and measures something: tiny, and with no word on how fast."""

import json
import math
from pathlib import Path
from typing import Any, cast

import pytest

from tests.bench.figures import Figure, percentile
from tests.bench.jobs import WrongResult, check_count, check_done
from tests.bench.report import Json, Machine, Table, row
from tests.bench.setting import TINY, Setting, default_folder, file_system
from tests.bench.suite import PARTS, run
from tests.bench.wire import Wire

SLOW = {"backlog", "keys", "events"}  # what they measure takes its time, however little there is of it


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name in SLOW else name for name in PARTS]
)
def test_each_part_yields_figures(name: str, tmp_path: Path) -> None:
    figures = run([name], Setting(tmp_path, TINY), Table())
    assert figures
    for figure in figures:
        assert figure.note if figure.value is None else math.isfinite(figure.value) and figure.value >= 0, figure


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    figures = run(["map"], Setting(tmp_path, TINY), Table())
    notes = {figure.note for figure in figures if figure.value is None}
    assert notes == {f"not installed: Debian's package {package}" for package in ("parallel", "findutils")}


def test_json_says_what_was_measured_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Json()
    setting = Setting(tmp_path, TINY)
    report.begin(Machine.look(setting))
    report.end([Figure(name="speed", value=3.0, unit="jobs/s", goal=2.0), Figure(name="rest", value=1.0, unit="ms")])
    document = json.loads(capsys.readouterr().out)
    assert document["machine"]["folder"] == str(tmp_path)
    assert [(figure["name"], figure["met"]) for figure in document["figures"]] == [("speed", True), ("rest", None)]


@pytest.mark.parametrize(
    ("value", "goal", "better", "verdict"),
    [
        (3.0, 2.0, "higher", "pass"),
        (1.0, 2.0, "higher", "SHORT"),
        (1.0, 2.0, "lower", "pass"),
        (3, 2, "lower", "SHORT"),
    ],
)
def test_a_figure_is_held_against_its_goal(value: float, goal: float, better: str, verdict: str) -> None:
    figure = Figure(name="one", value=value, unit="ms", goal=goal, better=better)  # type: ignore[arg-type]
    assert verdict in row(figure).split()


def test_a_percentile_is_one_of_the_samples() -> None:
    samples = [float(number) for number in range(100, 0, -1)]
    assert [percentile(samples, percent) for percent in (1, 50, 99, 100)] == [1.0, 50.0, 99.0, 100.0]
    assert percentile([7.0], 50) == 7.0


def test_files_do_not_go_to_memory_by_default() -> None:
    assert file_system(default_folder()) not in ("tmpfs", "ramfs")


class Answers:
    """A wire at whose other end a daemon has these jobs, done as its caller says."""

    def __init__(self, *numbers: int, attempt: int = 1) -> None:
        self._jobs = {
            f"job{place}": {"id": f"job{place}", "state": "done", "result": {"n": number}, "attempt": attempt}
            for place, number in enumerate(numbers)
        }

    def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "wait":
            return {"jobs": [self._jobs[wanted] for wanted in params["ids"]]}
        return {"queues": [{"pending": 3, "running": 1, "done": len(self._jobs)}]}


def check(wire: Answers, jobs: list[str], **how: Any) -> None:
    check_done(cast(Wire, wire), jobs, **how)


def test_jobs_done_with_their_own_results_pass() -> None:
    check(Answers(7, 8), ["job0", "job1"], first=7)
    check(Answers(7, 8, attempt=2), ["job0", "job1"], first=7, attempt=None)


@pytest.mark.parametrize(
    ("wire", "jobs"),
    [(Answers(8, 7), ["job0", "job1"]), (Answers(7, attempt=2), ["job0"]), (Answers(7), ["job0", "job0"])],
    ids=["swapped results", "a second attempt", "one id twice"],
)
def test_a_benchmark_whose_jobs_went_wrong_fails(wire: Answers, jobs: list[str]) -> None:
    with pytest.raises(WrongResult):
        check(wire, jobs, first=7)


def test_a_benchmark_that_lost_a_job_fails() -> None:
    check_count(cast(Wire, Answers(0, 1)), 6)
    with pytest.raises(WrongResult, match="7 jobs were submitted"):
        check_count(cast(Wire, Answers(0, 1)), 7)
