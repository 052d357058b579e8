"""What systemd gives to the service alone is found there, and nobody outside is told that it is missing."""

from pathlib import Path

import pytest

from supervisor.config.load import load
from supervisor.config.model import Config
from supervisor.errors import ConfigError
from tests.config.conftest import ENVIRON

POOL = '[pools.x]\ncommand = ["sh"]\nenv_file = '
REMEDY = "expected LoadCredential=db:FILE in the service's unit, and the service started again since"


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """The folder of credentials; it has `web`."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "web").write_text("TOKEN=hunter2\n")
    return folder


def read(tmp_path: Path, text: str, *, given: Path | None = None, serving: bool = True) -> Config:
    file = tmp_path / "stoker.toml"
    file.write_text(POOL + text)
    environ = ENVIRON if given is None else {**ENVIRON, "CREDENTIALS_DIRECTORY": str(given)}
    return load(file, environ=environ, is_root=True, serving=serving)


def problem(tmp_path: Path, text: str, *, given: Path | None = None, serving: bool = True) -> str:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, given=given, serving=serving)
    [(where, what)] = caught.value.problems
    assert where == "pools.x.env_file"
    return what


@pytest.mark.parametrize("serving", [True, False])
def test_in_the_service_it_is_a_file_like_any_other(tmp_path: Path, given: Path, serving: bool) -> None:
    (tmp_path / "own.env").write_text("A=1")
    config = read(tmp_path, '["own.env", "credential:web"]', given=given, serving=serving)
    assert config.pools[0].env_files == (tmp_path / "own.env", given / "web")


def test_one_that_the_unit_does_not_load_is_a_problem_that_says_what_to_add(tmp_path: Path, given: Path) -> None:
    assert problem(tmp_path, '"credential:db"', given=given) == (
        f"found credential:db, which is not among those that systemd gave (web), {REMEDY}"
    )


def test_a_daemon_without_any_says_so(tmp_path: Path) -> None:
    assert problem(tmp_path, '"credential:db"') == (
        f"found credential:db where systemd gave no credentials ($CREDENTIALS_DIRECTORY is not set), {REMEDY}"
    )


def test_outside_of_the_service_it_is_taken_as_named(tmp_path: Path) -> None:
    config = read(tmp_path, '"credential:db"', serving=False)
    assert config.pools[0].env_files == (Path("credential:db"),)


def test_a_broken_one_is_a_problem_without_its_content(tmp_path: Path, given: Path) -> None:
    (given / "db").write_text("hunter2\n")
    assert problem(tmp_path, '"credential:db"', given=given).startswith(f'{given}/db, line 1: found no "="')


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a:b", "ä", "a b", "x" * 256])
def test_a_name_that_systemd_would_not_take_is_refused_everywhere(tmp_path: Path, name: str) -> None:
    assert 'expected "credential:NAME", NAME being a file\'s name' in problem(
        tmp_path, f'"credential:{name}"', serving=False
    )
