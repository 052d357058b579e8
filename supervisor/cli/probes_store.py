"""The part of `stoker doctor` that looks at the store: whether it is whole, and whether there is room for it."""

import os
import time
from collections.abc import Iterator

from supervisor.cli.copying import count, size
from supervisor.cli.probes import Finding
from supervisor.config.model import MIB, Config
from supervisor.config.places import database_path
from supervisor.config.quantities import format_size

FUTURE_SECS = 60  # by which the newest job may be ahead of the clock
LARGE_LOG = 64 * MIB  # sixteen times what it should be
FEW_INODES = 1000


def store(config: Config, *, deep: bool) -> Iterator[Finding]:
    database = database_path(config)
    try:
        os.stat(database)
    except FileNotFoundError:
        yield Finding("store", "ok", f"{database} does not exist yet; the first start makes it")
        return
    # Whoever reads beside a daemon takes part in its locks, which are in a file too.
    if not (os.access(database, os.R_OK | os.W_OK, effective_ids=True) and os.access(database.parent, os.W_OK)):
        yield Finding(
            "store", "warn", f"{database} is not for us to read", "run doctor as root or as the daemon's user"
        )
        return
    yield from _look(config, deep=deep)


def _look(config: Config, *, deep: bool) -> Iterator[Finding]:
    import apsw

    from supervisor.daemon import offline
    from supervisor.errors import StokerError

    began = time.monotonic()
    try:
        found = offline.examine(config, deep=deep)
    except StokerError as error:
        remedy = (
            "stop the daemon, and put the last backup back with `stoker restore`; what is there now is kept beside it"
        )
        yield Finding("store", "fail", error.message, remedy)
        return
    contents = found.contents
    what = f"{count(contents.jobs, 'job')}, {size(contents.bytes)}, version {contents.schema}"
    library = f"SQLite {apsw.sqlite_lib_version()}"
    if found.whole:
        yield Finding("store", "ok", f"{what}, whole ({library})")
    else:
        took = time.monotonic() - began
        yield Finding(
            "store", "ok", f"{what}, nothing wrong in the first {took:.0f} s; --deep reads all of it ({library})"
        )
    if found.newest is not None and found.newest / 1e6 > time.time() + FUTURE_SECS:
        ahead = found.newest / 1e6 - time.time()
        yield Finding(
            "clock",
            "warn",
            f"the newest job was submitted {ahead:.0f} s from now: the clock was ahead then, or is behind now",
            "set the clock, and let something keep it (systemd-timesyncd, chrony)",
        )
    if found.log > LARGE_LOG:
        yield Finding(
            "store",
            "warn",
            f"its log has {size(found.log)}: a reader has kept it from beginning again",
            "end programs that have the file open for long (a sqlite3 shell); the log becomes small at the next stop",
        )


def space(config: Config) -> Iterator[Finding]:
    """Beyond what state_dir says: what the daemon itself will refuse, and what is not counted in bytes."""
    folder = database_path(config).parent
    if not folder.is_dir():
        return
    found = os.statvfs(folder)
    free, reserve = found.f_bavail * found.f_frsize, config.daemon.disk_reserve
    if free < reserve:
        told = f"{size(free)} free in {folder}, less than daemon.disk_reserve ({format_size(reserve)})"
        yield Finding("space", "fail", f"{told}: submits are refused", "make room, or set a smaller disk_reserve")
        return
    if found.f_files and found.f_favail < FEW_INODES:
        yield Finding(
            "space", "fail", f"{found.f_favail} inodes are left in {folder}", "delete files there: each needs one"
        )
        return
    database = database_path(config)
    stored = database.stat().st_size if database.exists() else 0
    if free - reserve < stored:
        yield Finding(
            "space",
            "warn",
            f"{size(free)} free in {folder}, too little for a backup of {size(stored)} beside daemon.disk_reserve",
            "make room before you need one: a backup is made there before it is sent",
        )
        return
    yield Finding("space", "ok", f"{size(free)} free, {format_size(reserve)} of them daemon.disk_reserve's")
