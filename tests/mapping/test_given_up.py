"""Workers that do not come up: a run is given up where a daemon would try for ever."""

import json
from pathlib import Path

import pytest

from supervisor.mapping import workers
from tests.mapping.mapped import Command, mapped, records_of
from tests.workers import command


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two starts."""
    monkeypatch.setattr("supervisor.core.respawn.FIRST_DELAY", 0.001)
    monkeypatch.setattr("supervisor.pool.life.SHORT_LIFE", 0.05)


@pytest.mark.parametrize("count", [1, 3])
def test_a_program_that_dies_at_boot_is_given_up_with_its_last_words(tmp_path: Path, count: int) -> None:
    done = mapped(tmp_path, command("boots_badly", str(tmp_path / "never")), [1, 2, 3], workers=count)
    assert (done.ending.code, done.ending.answered, done.records) == (2, 0, {})
    assert done.ending.reason is not None
    assert "no worker came up, after 3 starts of each" in done.ending.reason
    assert "ModuleNotFoundError" in done.ending.reason


def test_a_program_that_is_not_ready_in_time_is_given_up(tmp_path: Path) -> None:
    argv = command("never_ready", "--ready")
    done = mapped(tmp_path, argv, [1], ready=True, boot_timeout=0.1, kill_grace=0.1)
    assert done.ending.code == 2
    assert "not ready within" in str(done.ending.reason)


def test_a_program_that_is_no_worker_is_given_up_before_all_lines_have_failed(tmp_path: Path) -> None:
    done = mapped(tmp_path, ["cat"], list(range(1000)))
    assert done.ending.code == 2
    assert done.ending.answered <= workers.NEVER_WORKED
    assert "it echoed the request" in str(done.ending.reason)


def test_a_place_that_fails_alone_does_not_stop_the_others(tmp_path: Path) -> None:
    program = 'test "$STOKER_SLOT" = 0 || exit 1; exec ' + " ".join(command("echo"))
    done = mapped(tmp_path, ["sh", "-c", program], list(range(500)), workers=2)
    assert (done.ending.code, done.results) == (0, list(range(500)))


def test_workers_that_break_midway_end_the_run_and_it_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "WORKED_BEFORE", 4)
    # The first worker answers one line, and breaks the release.
    program = """
test -e broken && exit 7
read -r line
test -e mended || touch broken
printf '{"id":"%s","status":"ok","recycle":true}\\n' "$(printf %s "$line" | cut -c8-43)"
"""
    done = mapped(tmp_path, ["sh", "-c", program], [1, 2, 3])
    assert (done.ending.code, done.ending.answered) == (2, 1)
    assert "the workers do not come up any more" in str(done.ending.reason)
    (tmp_path / "broken").rename(tmp_path / "mended")
    arguments = ("-w", "1", "--records", "-i", "in", "-o", "out", "--resume", "--", "sh", "-c", program)
    with Command(*arguments, cwd=tmp_path) as run:
        assert run.exits() == (0, "")
    assert list(records_of(tmp_path / "out")) == [1, 2, 3]


def test_a_worker_that_comes_up_late_is_waited_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Once it has failed that is said, and that it works again."""
    flag = tmp_path / "flag"
    program = f'test -e {flag} || {{ touch {flag}; echo "no licence" >&2; exit 1; }}; exec ' + " ".join(command("echo"))
    done = mapped(tmp_path, ["sh", "-c", program], [1, 2])
    assert done.ending.code == 0
    said = capfd.readouterr().err
    assert "worker 0 does not come up" in said
    assert "no licence" in said
    assert "come up again" in said


def test_an_empty_input_is_no_failure(tmp_path: Path) -> None:
    done = mapped(tmp_path, command("echo"), [])
    assert (done.ending.code, (tmp_path / "out").read_bytes()) == (0, b"")


def test_what_was_answered_before_is_written_though_the_run_is_given_up(tmp_path: Path) -> None:
    program = f"""
read -r line
printf '{{"id":"%s","status":"ok","recycle":true}}\\n' "$(printf %s "$line" | cut -c8-43)"
chmod -x {tmp_path}/worker
"""
    (tmp_path / "worker").write_text(f"#!/bin/sh\n{program}")
    (tmp_path / "worker").chmod(0o755)
    done = mapped(tmp_path, ["./worker"], [1, 2, 3])
    assert (done.ending.code, list(done.records)) == (2, [1])
    assert "not an executable file" in str(done.ending.reason)
    assert json.loads((tmp_path / "out").read_text())["line"] == 1
