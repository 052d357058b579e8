"""config.example.toml is the reference: it loads, it has every key, and the defaults it states are the defaults."""

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from supervisor.config import sections
from supervisor.config.load import default_socket, default_state_dir, load
from supervisor.config.model import Backoff, Config, DaemonConfig, PoolConfig, QueueConfig, StoreConfig
from supervisor.config.sections import Section

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
ENVIRON = {"PATH": "/usr/bin:/bin"}
TABLES: list[tuple[str, type[msgspec.Struct], Section]] = [
    ("daemon", DaemonConfig, sections.DAEMON),
    ("store", StoreConfig, sections.STORE),
    ("pools.echo", PoolConfig, sections.POOL),
    ("queues.echo", QueueConfig, sections.QUEUE),
    ("queues.echo.backoff", Backoff, sections.BACKOFF),
]


def uncommented() -> str:
    """The text with every default said aloud: '#size = 1' has lost its '#', prose ('# How many') is as before."""
    return re.sub(r"^#(?=[a-z_]+ = )", "", EXAMPLE.read_text(), flags=re.MULTILINE)


def table(text: str, path: str) -> dict[str, Any]:
    found: Any = tomllib.loads(text)
    for key in path.split("."):
        found = found[key]
    return {key: value for key, value in found.items() if not (key == "backoff" and isinstance(value, dict))}


def test_it_loads_as_it_is() -> None:
    config = load(EXAMPLE, environ=ENVIRON, is_root=True)
    assert [pool.name for pool in config.pools] == ["echo"]


def test_its_worker_is_there() -> None:
    config = load(EXAMPLE, environ=ENVIRON, is_root=True)
    assert (config.pools[0].cwd / config.pools[0].command[1]).is_file()


@pytest.mark.parametrize(("path", "model", "section"), TABLES)
def test_every_key_of_the_model_is_in_it_and_can_be_read(
    path: str, model: type[msgspec.Struct], section: Section
) -> None:
    keys = set(model.__struct_fields__) - {"name"}
    assert keys == set(section.keys)
    assert keys - {"backoff"} == set(table(uncommented(), path))


def test_saying_every_default_changes_nothing(tmp_path: Path) -> None:
    def without_places(config: Config) -> Config:
        pools = tuple(msgspec.structs.replace(pool, cwd=Path()) for pool in config.pools)
        return msgspec.structs.replace(config, source=Path(), pools=pools)

    file = tmp_path / "said.toml"
    file.write_text(uncommented())
    said = load(file, environ=ENVIRON, is_root=True)
    assert said.pools[0].cwd == tmp_path  # "." is the file's own folder, as it is unsaid
    assert without_places(said) == without_places(load(EXAMPLE, environ=ENVIRON, is_root=True))


def test_the_stated_defaults_are_the_models(tmp_path: Path) -> None:
    """The loader takes its defaults from the model; this compares what is written with the model itself."""
    file = tmp_path / "said.toml"
    file.write_text(uncommented())
    config = load(file, environ=ENVIRON, is_root=True)
    assert config.daemon == DaemonConfig(socket=default_socket({}, True), state_dir=default_state_dir({}, True))
    assert config.store == StoreConfig()
    [pool], [queue] = config.pools, config.queues
    assert pool == PoolConfig(name="echo", command=pool.command, queues=("echo",), cwd=tmp_path)
    assert queue == QueueConfig(name="echo")


def test_only_what_has_no_default_is_said() -> None:
    text = EXAMPLE.read_text()
    assert {path: set(table(text, path)) for path, _, _ in TABLES} == {
        "daemon": set(),
        "store": set(),
        "pools.echo": {"command"},
        "queues.echo": set(),
        "queues.echo.backoff": set(),
    }
