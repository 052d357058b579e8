"""The worker that `stoker init` writes, which people begin with, and copy."""

import sys
from pathlib import Path

from supervisor.cli import templates
from tests.conformance.conftest import Check


def test_the_worker_that_init_writes_passes_without_a_warning(check: Check, tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(templates.WORKER)
    report = check([sys.executable, "worker.py"], "--jobs", "100", "--strict", "--cwd", str(tmp_path))
    assert report.exit_code == 0, report.document
    assert report.of("numbers") == ("ok", None)


def test_a_result_that_is_no_json_is_an_error_and_not_its_end(check: Check, tmp_path: Path) -> None:
    """The first thing that people get wrong when they put their own work into it."""
    greeting = '{"greeting": f"Hello, {name}!"}'
    assert greeting in templates.WORKER
    (tmp_path / "worker.py").write_text(templates.WORKER.replace(greeting, "{name}"))
    report = check([sys.executable, "worker.py"], "--only", "plain", "--cwd", str(tmp_path))
    assert report.of("plain") == ("ok", None)
    assert "20 jobs: 20 error" in report.words("plain")
