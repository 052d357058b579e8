"""Every part of the benchmark still runs and measures something: tiny, and with no word on how fast."""

import json
import math
from pathlib import Path

import pytest

from tests.bench.figures import Figure, percentile
from tests.bench.report import Json, Machine, Table, row
from tests.bench.setting import TINY, Setting, default_folder, file_system
from tests.bench.suite import PARTS, run


@pytest.mark.parametrize("name", PARTS)
def test_each_part_yields_figures(name: str, tmp_path: Path) -> None:
    figures = run([name], Setting(tmp_path, TINY), Table())
    assert figures
    for figure in figures:
        assert figure.note if figure.value is None else math.isfinite(figure.value) and figure.value >= 0, figure


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
