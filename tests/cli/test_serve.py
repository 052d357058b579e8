"""stoker serve, around the daemon it becomes."""

from pathlib import Path

import pytest

from supervisor.config.model import Config
from supervisor.daemon.notify import Notifier
from supervisor.errors import StartError, StoreUnavailable
from tests.cli.conftest import Run

CONFIG = """
[daemon]
socket = "s"
state_dir = "state"
[pools.thumbs]
command = ["cat"]
"""


@pytest.fixture
def served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configurations that a daemon was started with; it stops at once, with exit code 0."""
    configs: list[Config] = []

    def run(config: Config, notifier: Notifier, *, own_socket: bool = False) -> int:
        assert own_socket == (config.daemon.socket != folder / "s")
        configs.append(config)
        return 0

    Path("stoker.toml").write_text(CONFIG)
    monkeypatch.setattr("supervisor.daemon.main.serve", run)
    return configs


def test_it_runs_the_daemon_and_exits_by_it(
    served: list[Config], stoker: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stoker("serve").exit_code == 0
    assert served[0].daemon.socket == folder / "s"
    monkeypatch.setattr("supervisor.daemon.main.serve", lambda *_: 7)
    assert stoker("serve").exit_code == 7


def test_the_socket_of_the_command_line_overrides_the_configurations(
    served: list[Config], stoker: Run, folder: Path
) -> None:
    stoker("serve", "--socket", "other")
    assert served[0].daemon.socket == folder / "other"
    assert served[0].daemon.state_dir == folder / "state"


def test_a_daemon_that_cannot_start_is_exit_2_with_its_reason(
    served: list[Config], stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise StartError("another daemon has the store open: pid 12")

    monkeypatch.setattr("supervisor.daemon.main.serve", fail)
    result = stoker("serve")
    assert (result.exit_code, result.stderr) == (2, "stoker: another daemon has the store open: pid 12\n")


def test_a_store_that_cannot_be_used_now_is_exit_1_so_that_systemd_tries_again(
    served: list[Config], stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise StoreUnavailable("cannot open the store: the disk is full")

    monkeypatch.setattr("supervisor.daemon.main.serve", fail)
    result = stoker("serve")
    assert (result.exit_code, result.stderr) == (1, "stoker: cannot open the store: the disk is full\n")


def test_pypis_supervisor_beside_us_is_named_at_the_start(
    served: list[Config], stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.cli.collision.OTHER", "click")  # any distribution that is there
    assert "(supervisord) is installed in the same environment" in stoker("serve").stderr


@pytest.mark.parametrize("command", ["serve", "check-config"])
def test_a_stop_for_which_the_unit_does_not_wait_is_refused(
    served: list[Config], stoker: Run, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("STOKER_TIMEOUT_STOP", "20s")
    result = stoker(command)
    assert result.exit_code == 2
    assert (
        "daemon.drain_timeout: a stop may take 32s (drain_timeout 25s, the kill_grace of pool thumbs" in result.stderr
    )
    assert served == []
    monkeypatch.setenv("STOKER_TIMEOUT_STOP", "32s")
    assert stoker(command).exit_code == 0
