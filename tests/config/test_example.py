"""config.example.toml is the reference: it loads, it has every key, and the defaults it states are the defaults."""

import re
import resource
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from supervisor.config import machine, sections
from supervisor.config.load import default_socket, default_state_dir, load
from supervisor.config.model import (
    AccessConfig,
    Backoff,
    BatchesConfig,
    Config,
    DaemonConfig,
    PoolConfig,
    QueueConfig,
    Retention,
    StoreConfig,
)
from supervisor.config.sections import Section

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
ENVIRON = {"PATH": "/usr/bin:/bin"}
# What a pool's keys are called in the model, where it is not the same.
IN_THE_MODEL = {"env_file": "env_files"}
INSTEAD_OF_MIN_AND_MAX = "size"
INNER = {"access", "backoff", "retention", "rlimits"}  # tables of their own
TABLES: list[tuple[str, type[msgspec.Struct], Section]] = [
    ("daemon", DaemonConfig, sections.DAEMON),
    ("store", StoreConfig, sections.STORE),
    ("access", AccessConfig, sections.ACCESS),
    ("retention", Retention, sections.RETENTION),
    ("batches", BatchesConfig, sections.BATCHES),
    ("pools.echo", PoolConfig, sections.POOL),
    ("queues.echo", QueueConfig, sections.QUEUE),
    ("queues.echo.backoff", Backoff, sections.BACKOFF),
]


def uncommented() -> str:
    """The text with every default said aloud: '#size = 1' has lost its '#', prose ('# How many') is as before."""
    return re.sub(r"^#(?=[a-z_]+ = )", "", EXAMPLE.read_text(), flags=re.MULTILINE)


def with_examples() -> str:
    """The text with every example of a key without a default said aloud ('#   nice = 10'), and nothing else."""
    return re.sub(r"^#   (?=[a-z_]+ = )", "", EXAMPLE.read_text(), flags=re.MULTILINE)


def table(text: str, path: str) -> dict[str, Any]:
    found: Any = tomllib.loads(text)
    for key in path.split("."):
        found = found[key]
    return {key: value for key, value in found.items() if not (key in INNER and isinstance(value, dict))}


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
    fields = {IN_THE_MODEL.get(key, key) for key in set(section.keys) - {INSTEAD_OF_MIN_AND_MAX}}
    assert fields == set(model.__struct_fields__) - {"name"}
    defaults, examples = set(table(uncommented(), path)), set(table(with_examples(), path))
    assert defaults | examples == set(section.keys) - INNER


@pytest.mark.parametrize(("path", "model", "section"), TABLES)
def test_a_key_has_a_default_or_an_example_and_never_both(
    path: str, model: type[msgspec.Struct], section: Section
) -> None:
    """What the model has as None has no default that could be written."""
    unset = {field.name for field in msgspec.structs.fields(model) if field.default is None}
    if "pools" in path:
        unset |= {"min", "max", "command"}  # size = 1 is said instead
    assert set(table(with_examples(), path)) == unset


def test_every_limit_of_the_system_has_an_example() -> None:
    known = {name.removeprefix("RLIMIT_").lower() for name in dir(resource) if name.startswith("RLIMIT_")}
    # ofile is nofile's old name; Linux does not hold rss.
    assert known - {"ofile", "rss"} == set(sections.RLIMITS.keys) == set(table(with_examples(), "pools.echo.rlimits"))


def test_its_examples_are_valid_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "highest_limit", lambda *_: None)  # wherever this runs
    file = tmp_path / "examples.toml"
    file.write_text(with_examples())
    [pool] = load(file, environ=ENVIRON, is_root=True).pools
    assert (pool.min, pool.max, pool.user, pool.max_jobs) == (2, 8, "nobody", 1000)
    assert len(pool.rlimits) == len(sections.RLIMITS.keys)


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
    assert config.access == AccessConfig()
    assert config.retention == Retention()
    assert config.batches == BatchesConfig()
    [pool], [queue] = config.pools, config.queues
    assert pool == PoolConfig(name="echo", command=pool.command, queues=("echo",), cwd=tmp_path)
    assert queue == QueueConfig(name="echo")


def test_only_what_has_no_default_is_said() -> None:
    text = EXAMPLE.read_text()
    assert {path: set(table(text, path)) for path, _, _ in TABLES} == {
        "daemon": set(),
        "store": set(),
        "access": set(),
        "retention": set(),
        "batches": set(),
        "pools.echo": {"command"},
        "queues.echo": set(),
        "queues.echo.backoff": set(),
    }
