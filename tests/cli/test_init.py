"""stoker init: what is written, and the commands that are shown."""

import errno
import os
import sys
from pathlib import Path

import pytest

from supervisor.config.load import load
from supervisor.config.model import Config
from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def called_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/nowhere/else"])


def loaded(folder: Path) -> Config:
    return load(folder / "stoker.toml", environ=os.environ, is_root=os.geteuid() == 0)


def test_the_configuration_is_valid_and_everything_stays_in_the_folder(folder: Path, stoker: Run) -> None:
    result = stoker("init")
    assert result.exit_code == 0
    config = loaded(folder)
    assert (config.daemon.socket, config.daemon.state_dir) == (folder / "stoker.sock", folder / "state")
    (pool,) = config.pools
    assert (pool.name, pool.command, pool.cwd) == ("hello", ("python3", "worker.py"), folder)
    assert [queue.name for queue in config.queues] == ["hello"]
    assert os.access(folder / "worker.py", os.X_OK)


def test_every_remark_of_the_configuration_is_placed(folder: Path, stoker: Run) -> None:
    from supervisor.cli.templates import REMARKS

    stoker("init")
    text = (folder / "stoker.toml").read_text()
    assert all(remark in text for remark in REMARKS.values())


def test_a_folder_is_made_and_the_shown_commands_go_there(folder: Path, stoker: Run) -> None:
    result = stoker("init", "my jobs/a")
    assert result.exit_code == 0
    assert "    cd 'my jobs/a' && stoker serve\n" in result.stdout
    assert """    cd 'my jobs/a' && stoker submit hello '{"name":"world"}' --wait\n""" in result.stdout
    assert loaded(folder / "my jobs/a").pools


def test_for_a_service_the_places_are_left_to_its_unit(
    folder: Path, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.config.places.SYSTEM_FOLDER", folder / "etc/stoker")
    result = stoker("init", "etc/stoker")
    assert "[daemon]" not in (folder / "etc/stoker/stoker.toml").read_text()
    assert " systemd --install --now\n" in result.stdout.replace(" --user", "")
    assert " serve" not in result.stdout


@pytest.mark.parametrize("there", [["stoker.toml"], ["worker.py"], ["stoker.toml", "worker.py"]])
def test_what_is_there_is_not_overwritten_and_nothing_else_is_written(
    folder: Path, stoker: Run, there: list[str]
) -> None:
    for name in there:
        (folder / name).write_text("mine")
    result = stoker("init")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"stoker: {' and '.join(there)} exist")
    assert "--force" in result.stderr
    assert {file.name: file.read_text() for file in folder.iterdir()} == dict.fromkeys(there, "mine")


def test_force_overwrites(folder: Path, stoker: Run) -> None:
    (folder / "stoker.toml").write_text("mine")
    assert stoker("init", "--force").exit_code == 0
    assert loaded(folder).pools


def test_a_folder_too_deep_for_a_socket_leaves_it_at_its_default_place(folder: Path, stoker: Run) -> None:
    deep = "d" * 60 + "/" + "e" * 60
    assert stoker("init", deep).exit_code == 0
    assert len(os.fsencode(loaded(folder / deep).daemon.socket)) <= 107


def test_a_place_that_cannot_be_written_is_named(folder: Path, stoker: Run) -> None:
    (folder / "file").touch()
    result = stoker("init", "file/sub")
    assert result.exit_code == 2
    assert result.stderr == "stoker: cannot write file/sub: Not a directory; choose another folder\n"
    assert stoker("init", "file").stderr == (
        "stoker: cannot write file: it is a file, where a folder is wanted; choose another folder\n"
    )


def test_where_the_disk_is_full_the_place_is_named_all_the_same(
    folder: Path, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: Path, *_: object, **__: object) -> None:
        file.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # a write names no file

    monkeypatch.setattr(Path, "write_text", full)
    assert stoker("init", "one").stderr == "stoker: cannot write one: No space left on device; choose another folder\n"
    assert list((folder / "one").iterdir()) == []  # or the next try would find half a configuration


def test_a_command_that_the_path_does_not_know_is_shown_as_it_was_called(
    folder: Path, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = folder / "my env" / "stoker"
    called.parent.mkdir()
    called.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(called)])
    monkeypatch.setenv("PATH", "/nowhere")
    assert f"\n    '{called}' serve\n" in stoker("init", "one").stdout.replace("cd one && ", "")
    monkeypatch.setenv("PATH", str(called.parent))
    assert "\n    stoker serve\n" in stoker("init", "two").stdout.replace("cd two && ", "")
    monkeypatch.setattr(sys, "argv", ["/somewhere/supervisor/__main__.py"])
    assert f" {sys.executable} -m supervisor serve\n" in stoker("init", "three").stdout
