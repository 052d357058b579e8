from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.config.load import load
from supervisor.config.model import Config
from supervisor.errors import ConfigError

ENVIRON = {"PATH": "/usr/bin:/bin", "HOME": "/home/someone"}


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[[str], Config]:
    """Loads a text as stoker.toml in tmp_path, as root, with a plain environment."""

    def load_text(text: str) -> Config:
        file = tmp_path / "stoker.toml"
        file.write_text(text)
        return load(file, environ=ENVIRON, is_root=True)

    return load_text


@pytest.fixture
def problems_of_a_user(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """The problems of a text by key path where the daemon is not root; none when it loads."""

    def find(text: str) -> dict[str, str]:
        file = tmp_path / "stoker.toml"
        file.write_text(text)
        try:
            load(file, environ={**ENVIRON, "XDG_RUNTIME_DIR": "/run/user/7"}, is_root=False)
        except ConfigError as error:
            return dict(error.problems)
        return {}

    return find


@pytest.fixture
def problems(loaded: Callable[[str], Config]) -> Callable[[str], dict[str, str]]:
    """The problems of a text by key path; fails when there are none, or when a key path has two."""

    def find(text: str) -> dict[str, str]:
        with pytest.raises(ConfigError) as caught:
            loaded(text)
        found = dict(caught.value.problems)
        assert len(found) == len(caught.value.problems)
        return found

    return find
