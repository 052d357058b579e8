"""Good workers pass, in every language that is here; and what is measured of them is there for programs."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.conformance.catalogue import TRIALS
from tests.conformance.conftest import Report
from tests.examples.places import WORKERS

INPUT = Path(__file__)
WITHIN = 60.0  # seconds
PAYLOADS = {
    "python": {"text": "to be or not to be"},
    "node": {"path": str(INPUT)},
    "perl": {"lines": ['::1 - - [10/Oct/2000:13:55:38 -0700] "GET / HTTP/1.1" 404 100']},
    "sh": {"path": str(INPUT)},
    "c": {"n": 600851475143},
}
PROGRAMS = {"python": "python3", "node": "node", "perl": "perl", "sh": "sh", "c": "cc"}
FIGURES = {
    "start": {"secs"},
    "large": {"secs"},
    "many": {"jobs", "secs"},
    "memory": {"jobs", "rss_before", "rss", "bytes_per_job"},
    "speed": {"jobs", "jobs_per_sec", "p50_secs", "p99_secs", "pipe_per_sec", "pipe_p50_secs", "ratio"},
    "boot": {"secs"},
}


def argv(language: str, folder: Path) -> list[str]:
    """What runs the example."""
    found = PROGRAMS[language]
    source = next(path for path in (WORKERS / language).iterdir() if path.stem == "worker")
    if language != "c":
        return [found, str(source)]
    subprocess.run([found, "-O2", "-o", str(folder / "worker"), str(source)], check=True)
    return [str(folder / "worker")]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[dict[str, subprocess.Popen[str]]]":
    """All languages at once: most of the time they wait."""
    running = {}
    for language, payload in PAYLOADS.items():
        if shutil.which(PROGRAMS[language]):
            options = ["--json", "--jobs", "300", "--payload", json.dumps(payload)]
            command = argv(language, tmp_path_factory.mktemp(language))
            running[language] = subprocess.Popen(
                [sys.executable, "-m", "supervisor", "check-worker", *options, "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
            )
    yield running
    for process in running.values():
        with process:
            process.terminate()


@pytest.mark.parametrize("language", PAYLOADS)
def test_the_example_workers_pass(language: str, reports: "dict[str, subprocess.Popen[str]]") -> None:
    if language not in reports:
        pytest.skip(f"{PROGRAMS[language]} is not installed")
    process = reports[language]
    report = Report(process.communicate(timeout=WITHIN)[0], process.wait())
    assert report.exit_code == 0, report.document
    assert list(report.trials) == [trial.name for trial in TRIALS]
    levels = {name: trial["level"] for name, trial in report.trials.items() if trial["level"] != "ok"}
    levels.pop("numbers", None)  # numbers that a language has no type for may be warned of
    assert levels == {"handshake": "skip"}, report.document
    for name, figures in FIGURES.items():
        assert set(report.trials[name]["figures"]) == figures
    speed, boot = report.trials["speed"]["figures"], report.trials["boot"]["figures"]
    assert speed["ratio"] > 0
    assert 0 < speed["p50_secs"] <= speed["p99_secs"] < 1
    assert speed["p50_secs"] < boot["secs"] < 30
