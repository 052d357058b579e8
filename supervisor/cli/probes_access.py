"""The part of `stoker doctor` that looks at who may read and write what the daemon needs.

Root tries it as the daemon's user, which is taken to be the owner of the state directory.
"""

import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from supervisor.cli.probes import Finding
from supervisor.config.model import Config, PoolConfig
from supervisor.config.places import database_path


def permissions(config: Config) -> Iterator[Finding]:
    """One line for each thing that is wrong, or one that nothing is."""
    findings = [*_private(config), *_owned(config), *_usable(config)]
    user = _user(config)[0]
    if not findings and os.geteuid() not in (0, user):
        told = f"those of {_name(user)} cannot be tried by {_name(os.geteuid())}"
        findings = [Finding("permissions", "warn", told, "run doctor as root or as the daemon's user")]
    yield from findings or [Finding("permissions", "ok", f"as {_name(user)} needs them, and nobody else")]


def _user(config: Config) -> tuple[int, int]:
    try:
        found = os.stat(config.daemon.state_dir)
    except OSError:
        return os.geteuid(), os.getegid()
    return found.st_uid, found.st_gid


def _name(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"


def _private(config: Config) -> Iterator[Finding]:
    """Payloads and secrets."""
    secrets = {database_path(config), *(file for pool in config.pools for file in pool.env_files)}
    for file in sorted({config.daemon.state_dir, *secrets}):
        try:
            mode = os.stat(file).st_mode
        except OSError:
            continue
        if mode & stat.S_IROTH and file in secrets:
            yield Finding(
                "permissions",
                "warn",
                f"{file} (mode {stat.S_IMODE(mode):04o}) is readable for every user",
                f"chmod o= {file}",
            )
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            yield Finding("permissions", "fail", f"{file} can be written by every user", f"chmod o-w {file}")


def _owned(config: Config) -> Iterator[Finding]:
    """What a command run as root, or a copy made by hand, has left in the state directory."""
    folder, (uid, gid) = database_path(config).parent, _user(config)
    database = database_path(config).name
    for name in (database, f"{database}-wal", f"{database}-shm", f"{database}.lock"):
        try:
            owner = os.stat(folder / name).st_uid
        except OSError:
            continue
        if owner != uid and uid != 0:
            yield Finding(
                "permissions",
                "fail",
                f"{folder / name} is {_name(owner)}'s, and {_name(uid)} cannot use it",
                f"chown {uid}:{gid} {folder / name}",
            )


def _usable(config: Config) -> Iterator[Finding]:
    from supervisor.daemon.offline import acting

    uid, gid = _user(config)
    other = os.geteuid() == 0 and uid != 0
    who = _name(uid if other else os.geteuid())
    with acting(uid, gid) if other else nullcontext():
        findings = list(_tried(config, who))
    yield from findings


def _tried(config: Config, who: str) -> Iterator[Finding]:
    if not _may(config.source, os.R_OK):
        yield Finding(
            "permissions", "fail", f"{who} cannot read {config.source}", "chmod or chown it, and look at its folders"
        )
    for pool in config.pools:
        yield from _tried_pool(pool, who)


def _tried_pool(pool: PoolConfig, who: str) -> Iterator[Finding]:
    if not _may(pool.cwd, os.X_OK):
        yield Finding("permissions", "fail", f"{who} cannot enter {pool.cwd}, the cwd of {pool.name}", "chmod it")
        return
    program = pool.command[0]
    if "/" in program and not _may(pool.cwd / program, os.X_OK):
        told = f"{who} cannot execute {pool.cwd / program}, the program of {pool.name}"
        yield Finding("permissions", "fail", told, "chmod or chown it, and look at its folders")
    elif "/" not in program and (found := shutil.which(program)) and not _may(Path(found), os.X_OK):
        yield Finding("permissions", "fail", f"{who} cannot execute {found}, the program of {pool.name}", "chmod it")
    for file in pool.env_files:
        if not _may(file, os.R_OK):
            yield Finding(
                "permissions",
                "fail",
                f"{who} cannot read {file}, an env_file of {pool.name}",
                "chown it to that user: it is read whenever a worker starts",
            )


def _may(path: Path, how: int) -> bool:
    return os.access(path, how, effective_ids=True)
