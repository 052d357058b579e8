"""Good workers pass: the examples, in every language that is here. What is measured of them is there for programs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from supervisor.conformance.catalogue import TRIALS
from tests.conformance.conftest import Report
from tests.examples.languages import LANGUAGES, Language

Reports = dict[str, Future[Report]]

PAYLOADS = {
    "words": {"kind": "words", "text": "to be or not to be"},
    "factor": {"kind": "factor", "n": 600851475143},
    "count": {"kind": "count", "path": __file__},
}
FIGURES = {
    "start": {"secs"},
    "large": {"secs"},
    "many": {"jobs", "secs"},
    "memory": {"jobs", "rss_before", "rss", "bytes_per_job"},
    "speed": {"jobs", "jobs_per_sec", "p50_secs", "p99_secs", "pipe_per_sec", "pipe_p50_secs", "ratio"},
    "boot": {"secs"},
}
SCRIPTS = [language for language in LANGUAGES if language.name in ("python", "sh")]
AT_ONCE = 3  # testers; most of the time they wait
WITHIN = 120.0  # seconds


def checked(language: Language, folder: Path) -> Report:
    """The report on the example, run as its own pool has it."""
    env = language.pool().get("env", {})
    assert isinstance(env, dict)
    variables = [f"--env={name}={value}" for name, value in env.items()]
    payloads = [f"--payload={json.dumps(PAYLOADS[kind])}" for kind in sorted(language.kinds)]
    options = ["--json", "--jobs", "300", "--cwd", str(folder), *variables, *payloads]
    done = subprocess.run(
        [sys.executable, "-m", "supervisor", "check-worker", *options, "--", *language.command()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    return Report(done.stdout, done.returncode)


@pytest.fixture(scope="module")
def reports() -> Iterator[Reports]:
    """Those that are installed, some at a time. The other languages are tried with the examples."""
    with ThreadPoolExecutor(AT_ONCE) as testers:
        yield {one.name: testers.submit(checked, one, one.source) for one in SCRIPTS if one.missing() is None}


@pytest.mark.parametrize("language", SCRIPTS, ids=lambda language: language.name)
def test_the_example_passes(language: Language, reports: Reports) -> None:
    if (why := language.missing()) is not None:
        pytest.skip(why)
    report = reports[language.name].result()
    assert report.exit_code == 0, report.document
    assert list(report.trials) == [trial.name for trial in TRIALS]
    odd = {name: trial["found"] for name, trial in report.trials.items() if trial["level"] != "ok"}
    assert list(odd) == ["handshake"], odd
    for name, figures in FIGURES.items():
        assert set(report.trials[name]["figures"]) == figures
    speed, boot = report.trials["speed"]["figures"], report.trials["boot"]["figures"]
    assert 0 < speed["p50_secs"] <= speed["p99_secs"] < 10
    assert speed["ratio"] > 0
    assert speed["p50_secs"] < boot["secs"] < 60
