"""Every key of every section with its kind and its range. Defaults are the model's."""

import resource
from collections.abc import Mapping
from typing import Any, NamedTuple

from supervisor.config import kinds, log_kinds, people, worker_kinds
from supervisor.config.kinds import Kind
from supervisor.config.model import DAY, HOUR, KIB, MIB, AccessConfig, Backoff
from supervisor.config.quantities import format_duration
from supervisor.config.reading import Reading, join, shown
from supervisor.config.worker_kinds import BYTES, COUNT, SECONDS

MILLISECOND = 0.001
YEAR = 365 * DAY
FACTOR_MAX = 100
DELAYS_MAX = 100  # in a backoff: a queue that retries more often means the last one
WORKERS_MAX = 1_000  # of one pool
WEIGHT_MAX = 1_000
MEMORY_MAX = 1024**5
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
    if owners := [other.header for other in SECTIONS if key in other.keys]:
        return f"unknown key: it belongs in {' or '.join(owners)}"
    from difflib import get_close_matches  # only a wrong file pays for it

    if near := get_close_matches(key.lower(), section.keys, n=1):
        return f"unknown key: did you mean {shown(near[0])}?"
    return f"unknown key, expected one of {', '.join(section.keys)}"


def _backoff(reading: Reading, at: str, value: object) -> Backoff | None:
    """A list is short for a table with nothing but `delays`."""
    if isinstance(value, list):
        delays = _DELAYS(reading, at, value)
        return None if delays is None else Backoff(delays=delays)
    if not isinstance(value, dict):
        reading.unfit(at, value, f'a list of delays, such as ["1s", "10s", "1m"], or a table, {BACKOFF.header}')
        return None
    backoff = Backoff(**read(reading, at, value, BACKOFF))
    if "delays" in value:
        if beside := [key for key in ("base", "factor", "cap") if key in value]:
            reading.problem(
                join(at, "delays"), f"found {' and '.join(beside)} beside it, expected one way or the other"
            )
    elif backoff.base > backoff.cap:
        found, cap = format_duration(backoff.base), format_duration(backoff.cap)
        reading.problem(join(at, "base"), f"found {found}, expected at most cap, which is {cap}")
    return backoff


def _retention(reading: Reading, at: str, value: object) -> dict[str, Any]:
    """What the queue says itself; the rest is [retention]'s."""
    return read(reading, at, value, QUEUE_RETENTION)


def _access(reading: Reading, at: str, value: object) -> AccessConfig:
    return AccessConfig(**read(reading, at, value, QUEUE_ACCESS))


def _rlimits(reading: Reading, at: str, value: object) -> tuple[tuple[str, int | None], ...]:
    limits = read(reading, at, value, RLIMITS)
    return tuple((name, None if limit == resource.RLIM_INFINITY else limit) for name, limit in limits.items())


DAEMON = Section(
    "[daemon]",
    {
        "socket": kinds.socket_path,
        "socket_mode": kinds.mode,
        "state_dir": kinds.path,
        "cgroup": worker_kinds.cgroup,
        "drain_timeout": kinds.duration(0, DAY),
        "log_level": kinds.one_of("debug", "info", "warning", "error"),
        "log_format": log_kinds.log_format,
        "log_jobs": kinds.one_of("all", "failed", "none"),
        "max_connections": kinds.integer(1, 100_000),
        "max_outstanding": kinds.integer(1, 100_000),
        "max_line": kinds.size(KIB, LINE_MAX),
        "max_jobs": kinds.integer(1, 1_000_000),
        "disk_reserve": kinds.size(0, MEMORY_MAX),
    },
)
STORE = Section(
    "[store]",
    {
        "url": kinds.store_url,
        "events_max_age": kinds.duration(1, 100 * YEAR),
        "events_max_count": kinds.integer(1, 1_000_000_000),
    },
)
POOL = Section(
    "[pools.NAME]",
    {
        "command": kinds.argv,
        "size": kinds.integer(1, WORKERS_MAX),
        "min": kinds.integer(0, WORKERS_MAX),
        "max": kinds.integer(1, WORKERS_MAX),
        "grow_after": kinds.duration(0, DAY),
        "shrink_after": kinds.duration(MILLISECOND, YEAR),
        "queues": kinds.queue_names,
        "order": kinds.one_of("weight", "strict"),
        "weight": kinds.by_queue(1, WEIGHT_MAX),
        "reserve": kinds.by_queue(0, WORKERS_MAX),
        "channel": kinds.one_of("stdio", "fd"),
        "ready": kinds.flag,
        "require_id": kinds.flag,
        "timeout": kinds.duration(MILLISECOND, YEAR),
        "boot_timeout": kinds.duration(MILLISECOND, DAY),
        "kill_grace": kinds.duration(0, HOUR),
        "max_line": kinds.size(KIB, LINE_MAX),
        "cwd": kinds.folder,
        "env": worker_kinds.environment,
        "env_file": worker_kinds.env_files,
        "clear_env": kinds.flag,
        "user": worker_kinds.user,
        "group": worker_kinds.group,
        "nice": worker_kinds.nice,
        "umask": worker_kinds.umask,
        "cpu_affinity": worker_kinds.cpu_affinity,
        "rlimits": _rlimits,
        "max_jobs": kinds.integer(1, 1_000_000_000),
        "max_age": kinds.duration(1, YEAR),
        "max_idle": kinds.duration(1, YEAR),
        "max_rss": kinds.size(MIB, MEMORY_MAX),
        "recycle_jitter": kinds.number(0, 0.9),  # at 1 a limit could be nothing at all
        "memory_limit": kinds.size(MIB, MEMORY_MAX),
    },
    required={"command": 'a program and its arguments, such as ["python3", "worker.py"]'},
)
# What the machine knows and Linux holds: RLIMIT_RSS has had no effect since 2.4.
RLIMITS = Section(
    "[pools.NAME.rlimits]",
    {
        name: worker_kinds.rlimit(name, measure)
        for measure, names in {
            COUNT: ("nofile", "nproc", "sigpending", "nice", "rtprio", "rttime"),
            BYTES: ("core", "fsize", "data", "stack", "memlock", "as", "msgqueue"),
            SECONDS: ("cpu",),
        }.items()
        for name in names
    },
)
_DELAYS = kinds.durations(0, YEAR, DELAYS_MAX)
BACKOFF = Section(
    "[queues.NAME.backoff]",
    {
        "base": kinds.duration(0, YEAR),
        "factor": kinds.number(1, FACTOR_MAX),
        "cap": kinds.duration(0, YEAR),
        "jitter": kinds.number(0, 1),
        "delays": _DELAYS,
    },
)
_KEPT: Mapping[str, Kind[Any]] = {
    **{state: kinds.age(1, 100 * YEAR) for state in ("done", "failed", "cancelled", "expired")},
    **{f"max_{state}": kinds.integer(0, 1_000_000_000_000) for state in ("done", "failed", "cancelled", "expired")},
}
RETENTION = Section("[retention]", _KEPT)
QUEUE_RETENTION = Section("[queues.NAME.retention]", _KEPT)
_PEOPLE: Mapping[str, Kind[Any]] = dict.fromkeys(("admin", "submit", "look"), people.listed)
ACCESS = Section("[access]", _PEOPLE)
QUEUE_ACCESS = Section("[queues.NAME.access]", _PEOPLE)
QUEUE = Section(
    "[queues.NAME]",
    {
        "max_attempts": kinds.integer(1, 10_000),
        "max_crashes": kinds.integer(1, 10_000),
        "max_payload": kinds.size(1, LINE_MAX),
        "max_result": kinds.size(1, LINE_MAX),
        "max_pending": kinds.integer(1, 1_000_000_000),
        "events": kinds.flag,
        "backoff": _backoff,
        "on_daemon_crash": kinds.one_of("retry", "fail"),
        "on_throttle": kinds.one_of("job", "queue"),
        "retention": _retention,
        "access": _access,
        "rate": kinds.rate(1, 1_000_000, 365 * DAY),
        "burst": kinds.integer(1, 1_000_000),
        "concurrency": kinds.integer(1, 1_000_000),
        "rate_per_key": kinds.rate(1, 1_000_000, 365 * DAY),
        "burst_per_key": kinds.integer(1, 1_000_000),
        "concurrency_per_key": kinds.integer(1, 1_000_000),
    },
)
BATCHES = Section(
    "[batches]",
    {
        "max_lines": kinds.integer(1, 1_000_000_000),
        "max_bytes": kinds.size(KIB, MEMORY_MAX),
        "max_pending_lines": kinds.integer(1, 1_000_000_000_000),
        "keep": kinds.age(1, 100 * YEAR),
    },
)
SECTIONS = (DAEMON, STORE, POOL, RLIMITS, RETENTION, ACCESS, QUEUE, BACKOFF, QUEUE_RETENTION, QUEUE_ACCESS, BATCHES)
