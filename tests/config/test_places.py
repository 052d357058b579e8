import os
from pathlib import Path

import pytest

from supervisor.config import places
from supervisor.config.load import default_socket, default_state_dir, load, load_socket
from supervisor.errors import StartError


def test_root_has_the_places_of_the_system() -> None:
    environ = {"XDG_RUNTIME_DIR": "/run/user/0", "XDG_STATE_HOME": "/x", "HOME": "/root"}
    assert default_socket(environ, True) == Path("/run/stoker.sock")
    assert default_state_dir(environ, True) == Path("/var/lib/stoker")


def test_anybody_else_has_the_xdg_places() -> None:
    environ = {"XDG_RUNTIME_DIR": "/run/user/7", "XDG_STATE_HOME": "/home/u/state"}
    assert default_socket(environ, False) == Path("/run/user/7/stoker.sock")
    assert default_state_dir(environ, False) == Path("/home/u/state/stoker")


def test_without_xdg_variables_state_is_in_the_home_folder() -> None:
    assert default_state_dir({"HOME": "/home/u"}, False) == Path("/home/u/.local/state/stoker")


def test_relative_xdg_variables_are_ignored() -> None:
    environ = {"XDG_STATE_HOME": "state", "HOME": "/home/u", "XDG_RUNTIME_DIR": "run"}
    assert default_state_dir(environ, False) == Path("/home/u/.local/state/stoker")
    assert default_socket(environ, False).parent == places.private_folder()


def test_a_file_of_the_system_means_the_same_places_to_everybody() -> None:
    """To the daemon, which is not root under systemd, to its clients, and to root's `stoker doctor`."""
    environ = {"XDG_RUNTIME_DIR": "/run/user/7", "HOME": "/home/u"}
    file = Path("/etc/stoker/stoker.toml")
    for is_root in (True, False):
        assert default_socket(environ, is_root, file) == Path("/run/stoker.sock")
        assert default_state_dir(environ, is_root, file) == Path("/var/lib/stoker")


def test_an_instance_has_places_of_its_own_by_the_name_of_its_file() -> None:
    environ = {"XDG_RUNTIME_DIR": "/run/user/7", "HOME": "/home/u"}
    systems, users = Path("/etc/stoker/mail.toml"), Path("/home/u/.config/stoker/mail.toml")
    assert default_socket(environ, False, systems) == Path("/run/stoker-mail.sock")
    assert default_state_dir(environ, False, systems) == Path("/var/lib/stoker-mail")
    assert default_socket(environ, False, users) == Path("/run/user/7/stoker-mail.sock")
    assert default_state_dir(environ, False, users) == Path("/home/u/.local/state/stoker-mail")


@pytest.mark.parametrize("file", ["/srv/app/mail.toml", "/etc/stoker/conf.d/mail.toml", "/etc/stoker/mail.conf"])
def test_elsewhere_a_file_may_be_called_as_it_likes(file: str) -> None:
    assert default_socket({}, True, Path(file)) == Path("/run/stoker.sock")
    assert default_state_dir({}, True, Path(file)) == Path("/var/lib/stoker")


@pytest.mark.parametrize("given", ["/var/lib/one", "/var/lib/one:/var/lib/two"])
def test_the_state_is_where_systemd_made_a_folder_for_it(given: str) -> None:
    environ = {"STATE_DIRECTORY": given, "XDG_STATE_HOME": "/home/u/state"}
    assert default_state_dir(environ, False) == default_state_dir(environ, True) == Path("/var/lib/one")


def test_a_client_finds_the_socket_of_an_instance_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "SYSTEM_FOLDER", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "mail.toml").write_text('[pools.x]\ncommand = ["nowhere"]\n')
    for named in (tmp_path / "mail.toml", Path("mail.toml"), tmp_path / "sub/../mail.toml"):
        assert load_socket(named, environ={}, is_root=False) == Path("/run/stoker-mail.sock")


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "stoker-1"
    monkeypatch.setattr(places, "private_folder", lambda: folder)
    return folder


def test_the_last_resort_is_named_by_uid_and_not_by_tmpdir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/elsewhere")
    assert places.private_folder() == Path(f"/tmp/stoker-{os.getuid()}")


def test_asking_for_the_last_resort_creates_nothing(private: Path) -> None:
    assert default_socket({}, False) == private / "stoker.sock"
    assert not private.exists()


def test_the_private_folder_is_made_for_us_alone(private: Path) -> None:
    before = os.umask(0)
    try:
        places.make_private(private)
    finally:
        os.umask(before)
    assert private.stat().st_mode & 0o777 == 0o700
    places.make_private(private)  # and is found good the next time
    assert default_socket({}, False) == private / "stoker.sock"


def test_a_private_folder_open_to_others_is_refused(private: Path) -> None:
    private.mkdir()
    private.chmod(0o750)
    with pytest.raises(StartError, match="0700"):
        default_socket({}, False)
    with pytest.raises(StartError, match="0700"):
        places.make_private(private)


def test_a_link_in_place_of_the_private_folder_is_refused(private: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir(mode=0o700)
    private.symlink_to(target)
    with pytest.raises(StartError, match="folder of your own"):
        default_socket({}, False)


def test_somebody_elses_private_folder_is_refused(private: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private.mkdir(mode=0o700)
    stranger = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: stranger)
    with pytest.raises(StartError, match="folder of your own"):
        places.make_private(private)


def test_the_database_is_relative_to_the_state_dir(tmp_path: Path) -> None:
    file = tmp_path / "stoker.toml"
    file.write_text('[daemon]\nstate_dir = "state"\n[pools.x]\ncommand = ["sh"]\n')
    config = load(file, environ=os.environ, is_root=True)
    assert places.database_path(config) == tmp_path / "state" / "stoker.db"
    file.write_text('[store]\nurl = "sqlite:/data/jobs.db"\n[pools.x]\ncommand = ["sh"]\n')
    assert places.database_path(load(file, environ=os.environ, is_root=True)) == Path("/data/jobs.db")
