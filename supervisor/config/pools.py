"""One [pools.NAME] table, and what its keys mean together."""

import os
from typing import Any

import msgspec

from supervisor.config import sections, sharing
from supervisor.config.model import PoolConfig
from supervisor.config.programs import missing_program, split_hint
from supervisor.config.quantities import format_size
from supervisor.config.reading import Reading, join
from supervisor.config.worker_kinds import EnvFile

_OF_ELASTIC = {
    field.name: field.default
    for field in msgspec.structs.fields(PoolConfig)
    if field.name in ("grow_after", "shrink_after")
}


def read_pool(reading: Reading, at: str, name: str, table: object) -> PoolConfig | None:
    """The pool; None, after reporting it, where there is nothing to start."""
    values = sections.read(reading, at, table, sections.POOL)
    said = set(table) if isinstance(table, dict) else set()
    refused = said - values.keys()
    _workers(reading, at, said, values)
    _memory(reading, at, values)
    if not refused & {"queues", "size", "min", "max"}:  # it would be held against them
        sharing.check(reading, at, values, own=name)
    if "command" not in values:
        return None
    files: tuple[EnvFile, ...] = values.pop("env_file", ())
    pool = PoolConfig(
        name=name, env_files=tuple(file.path for file in files), **{"queues": (name,), "cwd": reading.folder, **values}
    )
    if not refused & {"cwd", "env", "env_file"}:  # the program is looked for with these
        problem = missing_program(pool.command[0], pool.cwd, *_path(reading, pool, files))
        if problem:
            hint = split_hint(pool.command[0]) if len(pool.command) == 1 else ""
            reading.problem(join(at, "command"), problem + hint)
    return pool


def _workers(reading: Reading, at: str, said: set[str], values: dict[str, Any]) -> None:
    """`size` becomes `min` and `max`. `max` alone starts from one worker, as a pool without any of them does."""
    size = values.pop("size", None)
    other = [key for key in ("min", "max") if key in said]
    if size is not None and other:
        reading.problem(
            join(at, "size"), f"found together with {' and '.join(other)}, expected size alone, or min and max"
        )
    elif size is not None:
        values["min"] = values["max"] = size
        _unused(reading, at, values, f"size is fixed at {size}")
    elif not other:
        _unused(reading, at, values, "without max the size is fixed at 1")
    elif "min" in values and "max" not in said:
        reading.problem(join(at, "min"), "found without max, expected both, or size for a fixed number")
    elif values.get("min", 0) > values.get("max", sections.WORKERS_MAX):
        reading.problem(join(at, "min"), f"found {values['min']}, expected at most max, which is {values['max']}")


def _unused(reading: Reading, at: str, values: dict[str, Any], why: str) -> None:
    """Of a pool that neither grows nor shrinks. A default said aloud means nothing here either."""
    for key, default in _OF_ELASTIC.items():
        if values.get(key, default) != default:
            reading.problem(
                join(at, key), f"found where {why}, expected min and max in place of size: it has no effect"
            )


def _memory(reading: Reading, at: str, values: dict[str, Any]) -> None:
    rss, limit = values.get("max_rss"), values.get("memory_limit")
    if rss is not None and limit is not None and rss >= limit:
        found, less = format_size(rss), format_size(limit)
        reading.problem(
            join(at, "max_rss"),
            f"found {found}, expected less than memory_limit ({less}): it would be killed before it is replaced",
        )


def _path(reading: Reading, pool: PoolConfig, files: tuple[EnvFile, ...]) -> tuple[str, str]:
    """The PATH the worker will have, and what a message may call it: a value of env or env_file is never shown."""
    variables = dict(pool.env)
    if "PATH" in variables:
        return variables["PATH"], "the PATH that its env sets"
    for file in reversed(files):
        variables = dict(file.variables)
        if "PATH" in variables:
            return variables["PATH"], f"the PATH that {file.path} sets"
    path = reading.environ.get("PATH", os.defpath)
    return path, f"the PATH, which is {path}"
