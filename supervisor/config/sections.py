"""Every key of every section with its kind and its range. Defaults are the model's."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from supervisor.config import kinds
from supervisor.config.kinds import Kind
from supervisor.config.model import DAY, HOUR, KIB, MIB, Backoff
from supervisor.config.quantities import format_duration
from supervisor.config.reading import Reading, join, shown

MILLISECOND = 0.001
YEAR = 365 * DAY
LINE_MAX = 512 * MIB  # SQLite holds a value of 1,000,000,000 bytes at most, and a request is larger than its payload


class Section(NamedTuple):
    """A table of the file: how people write its header, its keys, and those it cannot do without (with their form)."""

    header: str
    keys: Mapping[str, Kind[Any]]
    required: Mapping[str, str] = {}


def read(reading: Reading, at: str, value: object, section: Section) -> dict[str, Any]:
    """The values of a table that fit their keys; everything else is reported."""
    if not isinstance(value, dict):
        reading.unfit(at, value, f"a table, {section.header}")
        return {}
    values = {}
    for key, item in value.items():
        kind = section.keys.get(key)
        if kind is None:
            reading.problem(join(at, key), _unknown(key, section))
        elif (meaning := kind(reading, join(at, key), item)) is not None:
            values[key] = meaning
    for key, form in section.required.items():
        if key not in value:
            reading.problem(join(at, key), f"found nothing, expected {form}")
    return values


def _unknown(key: str, section: Section) -> str:
    """What to write instead: the section the key belongs to, the nearest key, or all of them."""
    for other in SECTIONS:
        if key in other.keys:
            return f"unknown key: it belongs in {other.header}"
    from difflib import get_close_matches  # only a wrong file pays for it

    if near := get_close_matches(key, section.keys, n=1):
        return f"unknown key: did you mean {shown(near[0])}?"
    return f"unknown key, expected one of {', '.join(section.keys)}"


def _backoff(reading: Reading, at: str, value: object) -> Backoff | None:
    backoff = Backoff(**read(reading, at, value, BACKOFF))
    if backoff.base > backoff.cap:
        found, cap = format_duration(backoff.base), format_duration(backoff.cap)
        reading.problem(join(at, "base"), f"found {found}, expected at most cap, which is {cap}")
    return backoff


DAEMON = Section(
    "[daemon]",
    {
        "socket": kinds.socket_path,
        "socket_mode": kinds.mode,
        "state_dir": kinds.path,
        "drain_timeout": kinds.duration(0, DAY),
        "log_level": kinds.one_of("debug", "info", "warning", "error"),
        "log_format": kinds.one_of("auto", "console", "json"),
        "max_connections": kinds.integer(1, 100_000),
        "max_outstanding": kinds.integer(1, 100_000),
        "max_line": kinds.size(KIB, LINE_MAX),
        "max_jobs": kinds.integer(1, 1_000_000),
    },
)
STORE = Section("[store]", {"url": kinds.store_url})
POOL = Section(
    "[pools.NAME]",
    {
        "command": kinds.argv,
        "size": kinds.integer(1, 1_000),
        "queues": kinds.queue_names,
        "cwd": kinds.folder,
        "env": kinds.environment,
        "timeout": kinds.duration(MILLISECOND, YEAR),
        "boot_timeout": kinds.duration(MILLISECOND, DAY),
        "kill_grace": kinds.duration(0, HOUR),
        "max_line": kinds.size(KIB, LINE_MAX),
    },
    required={"command": 'a program and its arguments, such as ["python3", "worker.py"]'},
)
BACKOFF = Section(
    "[queues.NAME.backoff]",
    {
        "base": kinds.duration(0, YEAR),
        "factor": kinds.number(1, 100),
        "cap": kinds.duration(0, YEAR),
        "jitter": kinds.number(0, 1),
    },
)
QUEUE = Section(
    "[queues.NAME]",
    {
        "max_attempts": kinds.integer(1, 10_000),
        "max_crashes": kinds.integer(1, 10_000),
        "max_payload": kinds.size(1, LINE_MAX),
        "backoff": _backoff,
    },
)
SECTIONS = (DAEMON, STORE, POOL, QUEUE, BACKOFF)
