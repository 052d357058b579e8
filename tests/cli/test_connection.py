"""Which socket is used, and what is said when nobody answers there."""

import os
import socket
from pathlib import Path

import pytest

from supervisor.cli.connection import candidates, configured_socket
from supervisor.cli.failures import Misuse
from supervisor.cli.options import Places
from supervisor.config.load import load_socket
from tests.cli.conftest import Run
from tests.cli.scripted import Say, ScriptedDaemon

PONG = {"version": "0.1.0", "protocol": 1}


def wanted(socket: str | None = None, config: str | None = None) -> Places:
    places = Places()
    places.socket, places.config = socket, config
    return places


def configure(file: Path, socket: str) -> None:
    file.write_text(f'[daemon]\nsocket = "{socket}"\n')


def test_without_a_word_the_users_socket_comes_before_the_systems(folder: Path) -> None:
    assert candidates(wanted()) == [f"{folder}/run/stoker.sock", "/run/stoker.sock"]


def test_where_the_user_has_no_runtime_folder_the_daemons_last_resort_is_tried(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr("supervisor.config.places.private_folder", lambda: folder / "private")
    assert candidates(wanted()) == [f"{folder}/private/stoker.sock", "/run/stoker.sock"]


def test_a_configuration_in_the_folder_decides_and_nothing_else_is_tried(folder: Path) -> None:
    configure(folder / "stoker.toml", "here.sock")
    assert candidates(wanted()) == [f"{folder}/here.sock"]


def test_the_environment_comes_before_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(folder / "stoker.toml", "here.sock")
    monkeypatch.setenv("STOKER_SOCKET", "/from/environment")
    assert candidates(wanted()) == ["/from/environment"]


def test_what_is_said_in_person_comes_before_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(folder / "other.toml", "other.sock")
    monkeypatch.setenv("STOKER_SOCKET", "/from/environment")
    assert candidates(wanted(config="other.toml")) == [f"{folder}/other.sock"]
    assert candidates(wanted(socket="said", config="other.toml")) == ["said"]


@pytest.mark.parametrize(
    "text",
    [
        '[daemon]\nsocket = "here.sock"',
        '[daemon]\nsocket = "sub/here.sock"',
        '[daemon]\nsocket = "/abs/here.sock"',
        '[daemon]\nsocket = "~/here.sock"',
        '[daemon]\nstate_dir = "state"',
        "",
    ],
)
def test_the_short_way_to_the_configured_socket_finds_what_the_daemon_finds(folder: Path, text: str) -> None:
    file = folder / "stoker.toml"
    file.write_text(text)
    expected = load_socket(file, environ=os.environ, is_root=os.geteuid() == 0)
    assert Path(configured_socket("stoker.toml")) == expected


@pytest.mark.parametrize("text", ["[daemon\n", '[daemon]\nsocket = ""', "daemon = 1", "\xff"])
def test_a_configuration_that_cannot_be_read_is_told_as_the_daemon_tells_it(folder: Path, text: str) -> None:
    (folder / "stoker.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(Misuse, match=r"stoker\.toml: "):
        configured_socket("stoker.toml")


def test_no_daemon_is_one_line_with_the_paths_and_what_to_do(folder: Path, stoker: Run) -> None:
    result = stoker("submit", "thumbs", "--socket", "none.sock")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        "stoker: no daemon answers at none.sock (no such file or directory); "
        "start one with `stoker serve`, or say where it listens with --socket\n"
    )


def test_every_path_that_was_tried_is_named(folder: Path, stoker: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.cli.connection.candidates", lambda _: ["a.sock", "b.sock"])
    stderr = stoker("ping").stderr
    assert "a.sock (no such file or directory) or b.sock (no such file or directory)" in stderr


def test_the_first_that_answers_is_used(daemon: ScriptedDaemon, stoker: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon.on("ping", PONG)
    monkeypatch.setattr("supervisor.cli.connection.candidates", lambda _: ["a.sock", str(daemon.path)])
    assert stoker("ping").exit_code == 0


def test_the_socket_may_be_named_before_and_after_the_command(
    daemon: ScriptedDaemon, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STOKER_SOCKET")
    daemon.on("ping", PONG)
    assert stoker("--socket", str(daemon.path), "ping").exit_code == 0
    assert stoker("ping", "--socket", str(daemon.path)).exit_code == 0
    assert stoker("--socket", "none.sock", "ping", "--socket", str(daemon.path)).exit_code == 0
    configure(Path("my.toml"), daemon.path.name)
    assert stoker("-c", "my.toml", "ping").exit_code == 0
    assert stoker("ping", "-c", "my.toml").exit_code == 0


def test_a_socket_that_a_dead_daemon_left_is_told_from_none(folder: Path, stoker: Run) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind("dead.sock")
    result = stoker("ping", "--socket", "dead.sock")
    assert result.exit_code == 3
    assert "dead.sock (nobody listens there any more)" in result.stderr


def test_a_file_that_is_no_socket_is_named_so(folder: Path, stoker: Run) -> None:
    Path("file").touch()
    assert "file (not a socket)" in stoker("ping", "--socket", "file").stderr


def test_permission_denied_says_whose_socket_it_is_and_what_to_do(
    daemon: ScriptedDaemon, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the kernel would say to another user, without needing one.
    daemon.close()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    daemon.path.chmod(0o600)
    result = stoker("ping")
    assert result.exit_code == 3
    assert f"stoker: {daemon.path}: permission denied: this socket is for " in result.stderr
    assert "(mode 0600)" in result.stderr
    assert "daemon.socket_mode" in result.stderr


def test_an_answer_that_is_no_json_is_exit_3(stoker: Run, daemon: ScriptedDaemon) -> None:
    def talk_http(_: object) -> None:
        raise Say(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    daemon.on("ping", talk_http)
    result = stoker("ping")
    assert result.exit_code == 3
    assert result.stderr.startswith("stoker: the daemon's answer cannot be read as JSON")


def test_an_argument_that_is_not_utf8_is_a_wrong_command_line(daemon: ScriptedDaemon, stoker: Run) -> None:
    result = stoker("submit", "thumbs", "--name", "\udcff")
    assert result.exit_code == 2
    assert "not UTF-8" in result.stderr
