"""Whatever is wrong with a file: no message shows the value of a variable."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.config.load import load
from supervisor.config.model import Config
from supervisor.errors import ConfigError
from tests.config.conftest import ENVIRON

SECRET, PIN = "hunter2", 271828
HEAD = '[pools.x]\ncommand = ["nosuch-program"]\n'


@pytest.mark.parametrize(
    "env",
    [
        f'env = "TOKEN={SECRET}"',
        f'env = ["TOKEN={SECRET}"]',
        f"env = {PIN}",
        f"env = {PIN}.5",
        f"env = {{TOKEN = {PIN}}}",
        f'env = {{TOKEN = ["{SECRET}"]}}',
        f'env = {{TOKEN = {{value = "{SECRET}"}}}}',
        f'env = {{TOKEN = "{SECRET}\\u0000"}}',
        f'env = {{STOKER_TOKEN = "{SECRET}"}}',
        f'env = {{"A-TOKEN" = "{SECRET}"}}',
        f'env = {{"TOKEN={SECRET}" = ""}}',
        f'env = {{PATH = "/{SECRET}"}}',
        f'env = {{TOKEN = "{SECRET}"}}',
        f'env.TOKEN = "{SECRET}"\nenv = {{}}',
        f'env = {{TOKEN = "{SECRET}", TOKEN = "{SECRET}"}}',
        f'env = {{TOKEN = "{SECRET}}}',
        f'env = {{TOKEN = "{SECRET}\\q"}}',
        f"env = {{TOKEN = {SECRET}}}",
        f"env = {{TOKEN = '{SECRET}' '{SECRET}'}}",
        f'environment = {{TOKEN = "{SECRET}"}}',
        f'TOKEN = "{SECRET}"',
    ],
)
def test_no_message_shows_a_value_of_env(problems: Callable[[str], dict[str, str]], env: str) -> None:
    words = " ".join(f"{where} {what}" for where, what in problems(HEAD + env).items())
    assert words
    assert SECRET not in words
    assert str(PIN) not in words


@pytest.mark.parametrize(
    "content",
    [
        f"TOKEN={SECRET}",
        f"PATH=/{SECRET}",
        SECRET,
        f"TOKEN:{SECRET}",
        f"{SECRET} TOKEN=",
        f"TOKEN='{SECRET}",
        f'TOKEN="{SECRET}\\',
        f'TOKEN="\\{SECRET}"',
        f"TOKEN='a'{SECRET}",
        f"TOKEN=a\\{SECRET}",
        f"TOKEN=a #{SECRET}",
        f"TOKEN={SECRET}\0",
    ],
)
def test_no_message_shows_the_content_of_an_env_file(
    problems: Callable[[str], dict[str, str]], tmp_path: Path, content: str
) -> None:
    (tmp_path / "secrets.env").write_text(content)
    words = " ".join(f"{where} {what}" for where, what in problems(HEAD + 'env_file = "secrets.env"').items())
    assert words
    assert SECRET not in words


VALUES = st.recursive(
    st.sampled_from(
        [f'"{SECRET}"', f"'''{SECRET}'''", f'"{SECRET}', f'"{SECRET}\\u0000"', str(PIN), f"-{PIN}.0", SECRET]
    ),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda items: f"[{', '.join(items)}]") | inner.map("{{A = {}}}".format)
    ),
    max_leaves=4,
)
NAMES = st.sampled_from(["TOKEN", '"A-TOKEN"', f'"TOKEN={SECRET}"', "STOKER_TOKEN", "PATH", '""'])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(NAMES, VALUES), max_size=3),
    st.sampled_from(["[pools.x.env]\n", "[pools.x.rlimits]\n[pools.x.env]\n"]),
)
def test_no_table_of_variables_makes_a_message_show_one(
    tmp_path: Path, variables: list[tuple[str, str]], header: str
) -> None:
    file = tmp_path / "stoker.toml"
    file.write_text(HEAD + header + "".join(f"{name} = {value}\n" for name, value in variables))
    words = ""
    with suppress(ConfigError):
        words = said(file)
    assert SECRET not in words
    assert str(PIN) not in words


def said(file: Path) -> str:
    try:
        load(file, environ=ENVIRON, is_root=True)
    except ConfigError as error:
        return error.message
    raise AssertionError("it loads, without its program")


def test_a_configuration_in_a_traceback_or_a_log_shows_no_value(loaded: Callable[[str], Config]) -> None:
    config = loaded(f'[pools.x]\ncommand = ["sh"]\nenv = {{TOKEN = "{SECRET}"}}')
    assert dict(config.pools[0].env) == {"TOKEN": SECRET}
    for words in (repr(config), str(config.pools), f"{config.pools[0]}"):
        assert "TOKEN" in words
        assert SECRET not in words
