"""From a TOML file to a checked Config, or to every problem of the file at once.

Imported by every command, so nothing heavy: no trio, no structlog.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from supervisor.config import kinds, sections
from supervisor.config.model import (
    AccessConfig,
    BatchesConfig,
    Config,
    DaemonConfig,
    PoolConfig,
    QueueConfig,
    Retention,
    StoreConfig,
)
from supervisor.config.places import default_socket, default_state_dir
from supervisor.config.pools import read_pool
from supervisor.config.quantities import format_size
from supervisor.config.reading import Reading, join, shown
from supervisor.config.sections import Section
from supervisor.errors import ConfigError, StartError

__all__ = ["default_socket", "default_state_dir", "load", "load_daemon", "load_socket"]

_TOP = Section(
    "the whole file",
    {
        name: lambda _reading, _at, value: value
        for name in ("daemon", "store", "access", "pools", "retention", "queues", "batches")
    },
)
_NOWHERE = Path("/nonexistent")  # stands in where a problem is reported, so that the rest is still checked
_WHERE = re.compile(r" \(at (?:line (\d+), column (\d+)|(end of document))\)$")


def load(
    path: Path, *, environ: Mapping[str, str], is_root: bool, serving: bool = True, lenient: bool = False
) -> Config:
    """The file at `path`, checked against this machine too (programs, users, CPUs); raises ConfigError.

    `environ` and `is_root` are the daemon's. They decide the defaults of socket and state_dir, where programs are
    looked for, and what workers may be given: another user, a lower niceness, higher limits. Not `serving`:
    somebody else asks, from where the service's credentials cannot be seen; they are taken as named. `lenient`: as
    the daemon starts, with what was right when it was written and can only deny somebody something now.
    """
    reading = Reading(path.absolute().parent, environ, is_root, serving=serving, lenient=lenient)
    tables = sections.read(reading, "", _document(path), _TOP)
    daemon = _daemon(reading, tables.get("daemon", {}), path)
    store = StoreConfig(**sections.read(reading, "store", tables.get("store", {}), sections.STORE))
    access = AccessConfig(**sections.read(reading, "access", tables.get("access", {}), sections.ACCESS))
    pools = _pools(reading, tables.get("pools"))
    retention = Retention(**sections.read(reading, "retention", tables.get("retention", {}), sections.RETENTION))
    batches = BatchesConfig(**sections.read(reading, "batches", tables.get("batches", {}), sections.BATCHES))
    queues = _queues(reading, tables.get("queues", {}), daemon, retention)
    for name in (name for pool in pools for name in pool.queues):
        queues.setdefault(name, QueueConfig(name=name, retention=retention))
    if reading.problems:
        raise ConfigError(str(path), reading.problems)
    return Config(
        source=path.absolute(),
        daemon=daemon,
        store=store,
        access=access,
        pools=pools,
        retention=retention,
        batches=batches,
        queues=tuple(queues.values()),
    )


def load_socket(path: Path, *, environ: Mapping[str, str], is_root: bool) -> Path:
    """Where the socket is, and nothing else checked: a client may not see the programs and folders of the pools."""
    reading = Reading(path.absolute().parent, environ, is_root)
    table = _document(path).get("daemon", {})
    wanted = {key: value for key, value in table.items() if key == "socket"} if isinstance(table, dict) else table
    socket = _daemon(reading, wanted, path).socket
    if reading.problems:
        raise ConfigError(str(path), reading.problems)
    return socket


def load_daemon(path: Path, *, environ: Mapping[str, str], is_root: bool) -> DaemonConfig:
    """Its [daemon] alone; raises ConfigError. What pools need may be missing where their service does not run yet."""
    reading = Reading(path.absolute().parent, environ, is_root)
    daemon = _daemon(reading, _document(path).get("daemon", {}), path)
    if reading.problems:
        raise ConfigError(str(path), reading.problems)
    return daemon


def _document(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
        return tomllib.loads(data.decode())
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        problem = f"line {line}, column {column}: found a byte that is not UTF-8, expected UTF-8 text"
    except RecursionError:
        problem = "not valid TOML: values are nested too deep"
    except ValueError as error:  # TOMLDecodeError, and what int() says of thousands of digits
        problem = _syntax(str(error))
    raise ConfigError(str(path), [("", problem)])


def _syntax(message: str) -> str:
    where = _WHERE.search(message)
    if where is None:
        return f"not valid TOML: {message}"
    place = "end of the file" if where[3] else f"line {where[1]}, column {where[2]}"
    return f"{place}: not valid TOML: {message[: where.start()]}"


def _daemon(reading: Reading, table: object, path: Path) -> DaemonConfig:
    file = Path(os.path.abspath(path))
    values = sections.read(reading, "daemon", table, sections.DAEMON)
    if "socket" not in values:
        said = isinstance(table, dict) and "socket" in table  # and reported already: one problem is enough
        values["socket"] = _NOWHERE if said else _default_socket(reading, file)
    values.setdefault("state_dir", default_state_dir(reading.environ, reading.is_root, file))
    return DaemonConfig(**values)


def _default_socket(reading: Reading, file: Path) -> Path:
    try:
        socket = default_socket(reading.environ, reading.is_root, file)
    except StartError as error:
        reading.problem("daemon.socket", error.message)
        return _NOWHERE
    kinds.fits_socket(reading, "daemon.socket", socket)
    return socket


def _pools(reading: Reading, table: object) -> tuple[PoolConfig, ...]:
    if table is None or table == {}:
        reading.problem("pools", "found no pool, expected at least one, such as [pools.thumbs] with a command")
        return ()
    pools = (read_pool(reading, at, name, value) for name, at, value in _named(reading, "pools", table, sections.POOL))
    return tuple(pool for pool in pools if pool is not None)


def _queues(reading: Reading, table: object, daemon: DaemonConfig, retention: Retention) -> dict[str, QueueConfig]:
    queues = {}
    for name, at, value in _named(reading, "queues", table, sections.QUEUE):
        values = sections.read(reading, at, value, sections.QUEUE)
        values["retention"] = msgspec.structs.replace(retention, **values.get("retention", {}))
        queues[name] = queue = QueueConfig(name=name, **values)
        for burst, rate in (("burst", "rate"), ("burst_per_key", "rate_per_key")):
            found = getattr(queue, burst)
            if found is not None and isinstance(value, dict) and rate not in value:
                reading.problem(
                    join(at, burst), f'found {found} and no {rate}, expected {rate} beside it, such as {rate} = "100/s"'
                )
        if "max_payload" in values and queue.max_payload >= daemon.max_line:
            size, limit = format_size(queue.max_payload), format_size(daemon.max_line)
            reading.problem(
                join(at, "max_payload"),
                f"found {size}, expected less than daemon.max_line ({limit}): a request holds both",
            )
    return queues


def _named(reading: Reading, at: str, table: object, section: Section) -> list[tuple[str, str, object]]:
    """The tables under [pools] or [queues], each with its name and key path; a wrong name is reported."""
    if not isinstance(table, dict):
        reading.unfit(at, table, f"tables, {section.header}")
        return []
    for name in table:
        if not kinds.is_name(name):
            reading.problem(join(at, name), f"found the name {shown(name)}, expected {kinds.NAME_FORM}")
    return [(name, join(at, name), value) for name, value in table.items()]
