"""stoker check-config, and what serve says of a configuration it cannot use."""

import errno
import json
import os
from pathlib import Path

import pytest

from supervisor.cli import configuration
from tests.cli.conftest import Run

GOOD = """
[daemon]
socket = "s"
state_dir = "state"
[pools.thumbs]
command = ["sh", "-c", "cat"]
size = 4
queues = ["thumbs", "urgent"]
[queues.lonely]
"""
BAD = """
[daemon]
sockt = "s"
[pools.thumbs]
command = []
size = 0
"""


@pytest.fixture(autouse=True)
def no_system_config(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "SYSTEM_CONFIG", folder / "etc" / "stoker.toml")


def test_a_good_one_is_summed_up(folder: Path, stoker: Run) -> None:
    Path("stoker.toml").write_text(GOOD)
    result = stoker("check-config")
    assert result.exit_code == 0
    assert result.stdout == (
        f"{folder}/stoker.toml: ok\n"
        "  pool thumbs: 4 workers of sh -c cat, for thumbs, urgent\n"
        f"  socket {folder}/s\n"
        f"  state in {folder}/state, store sqlite:stoker.db\n"
    )
    assert result.stderr == "stoker: queue lonely is in no pool's queues: it accepts jobs, and nothing runs them\n"


def test_json_is_the_summary_for_programs(folder: Path, stoker: Run) -> None:
    Path("stoker.toml").write_text(GOOD)
    summary = json.loads(stoker("check-config", "--json").stdout)
    assert summary["pools"] == [
        {"pool": "thumbs", "size": 4, "command": ["sh", "-c", "cat"], "queues": ["thumbs", "urgent"]}
    ]
    assert summary["unserved"] == ["lonely"]


@pytest.mark.parametrize("command", ["check-config", "serve"])
def test_every_problem_is_a_line_and_the_exit_is_2(folder: Path, stoker: Run, command: str) -> None:
    Path("bad.toml").write_text(BAD)
    result = stoker(command, "-c", "bad.toml")
    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert all(
        any(line.startswith(f"stoker: bad.toml: {key}: ") for line in lines)
        for key in ("daemon.sockt", "pools.thumbs.command", "pools.thumbs.size")
    )


@pytest.mark.parametrize("command", ["check-config", "serve"])
def test_without_any_configuration_the_places_are_named(folder: Path, stoker: Run, command: str) -> None:
    result = stoker(command)
    assert result.exit_code == 2
    assert f"neither ./stoker.toml nor {folder}/etc/stoker.toml" in result.stderr
    assert "`stoker init`" in result.stderr


def test_the_systems_is_used_where_the_folder_has_none(folder: Path, stoker: Run) -> None:
    (folder / "etc").mkdir()
    (folder / "etc" / "stoker.toml").write_text(GOOD)
    assert stoker("check-config").stdout.startswith(f"{folder}/etc/stoker.toml: ok\n")


def test_one_that_is_not_there_is_named(folder: Path, stoker: Run) -> None:
    result = stoker("check-config", "-c", "none.toml")
    assert result.exit_code == 2
    assert result.stderr == (
        "stoker: none.toml: cannot be read: No such file or directory; "
        "write one with `stoker init`, or name another with -c FILE\n"
    )


@pytest.mark.parametrize("command", ["check-config", "status"])
def test_one_that_may_not_be_read_says_what_to_do(
    folder: Path, stoker: Run, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> bytes:  # permissions do not keep root out
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    Path("stoker.toml").write_text("[pools.a]\n")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    result = stoker(command, "-c", "stoker.toml")
    assert result.exit_code == 2
    assert result.stderr == (
        "stoker: stoker.toml: cannot be read: Permission denied; "
        "run the command as a user who may read it, or change its permissions\n"
    )
