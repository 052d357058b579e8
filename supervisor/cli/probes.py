"""What `stoker doctor` looks at. Probes raise nothing; whatever is not ok comes with its remedy."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

from supervisor.cli import collision, configuration
from supervisor.cli.failures import Misuse
from supervisor.config.model import MIB, Config
from supervisor.config.quantities import format_range, format_size

OURS = "stoker"
PYTHON = (3, 11)
LITTLE_SPACE = 512 * MIB
NO_SPACE = 32 * MIB
_REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)(?:>=([0-9.]+))?")


class Finding(NamedTuple):
    check: str
    level: Literal["ok", "warn", "fail"]
    found: str
    remedy: str = ""


def examine(*, deep: bool, unit: str) -> Iterator[Finding]:
    """Every check, in the order in which one may explain the next. `deep`: the whole store, however large. `unit`: the
    systemd service that the daemon would be."""
    from supervisor.cli import probes_access, probes_store, probes_systemd
    from supervisor.cli.probes_daemon import socket_and_daemon

    yield python()
    yield from dependencies()
    yield distribution_collision()
    yield setpriv()
    config, findings = configured()
    yield from findings
    if config is not None:
        yield state_dir(config)
        yield from _safely("permissions", lambda: probes_access.permissions(config))
        yield from _safely("store", lambda: probes_store.store(config, deep=deep))
        yield from _safely("space", lambda: probes_store.space(config))
    yield from _safely("systemd", lambda: probes_systemd.units(config, unit))
    yield from socket_and_daemon(config)


def _safely(check: str, probe: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What cannot be looked at is a finding of its own."""
    try:
        yield from probe()
    except OSError as error:
        told = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        yield Finding(check, "warn", f"could not be looked at: {told}", "run doctor as root or as the daemon's user")


def python() -> Finding:
    found = f"{sys.version.split()[0]} at {sys.executable}"
    if sys.version_info >= PYTHON:
        return Finding("python", "ok", found)
    wanted = ".".join(map(str, PYTHON))
    return Finding("python", "fail", found, f"stoker needs Python {wanted} or newer")


def dependencies() -> Iterator[Finding]:
    """What our own distribution requires, against what is installed; nothing is imported."""
    try:
        required = metadata.requires(OURS) or []
    except metadata.PackageNotFoundError:
        yield Finding(
            "dependencies", "warn", "stoker is not installed, it runs from its files", "pip install . in its checkout"
        )
        return
    wanted = [requirement for requirement in required if "extra ==" not in requirement]
    versions = []
    for requirement in wanted:
        name, least = _parse(requirement)
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Finding("dependencies", "fail", f"{name} is missing", f"pip install '{requirement}'")
            continue
        if _numbers(version) >= _numbers(least):
            versions.append(f"{name} {version}")
        else:
            yield Finding("dependencies", "fail", f"{name} {version} is too old", f"pip install '{requirement}'")
    if len(versions) == len(wanted):
        yield Finding("dependencies", "ok", ", ".join(versions))


def _parse(requirement: str) -> tuple[str, str]:
    found = _REQUIREMENT.match(requirement)
    return (found[1], found[2] or "0") if found else (requirement, "0")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def distribution_collision() -> Finding:
    trouble = collision.trouble()
    if trouble is None:
        return Finding(
            "supervisor", "ok", "supervisord of PyPI, whose package has our name, is not in this environment"
        )
    found, remedy = trouble.split(": ", 1)
    return Finding("supervisor", "fail", found, remedy)


def setpriv() -> Finding:
    found = shutil.which("setpriv")
    if found:
        return Finding("setpriv", "ok", found)
    return Finding(
        "setpriv",
        "warn",
        "not on the PATH: a busy worker outlives a killed daemon, until the next start, and none can be another user",
        "install util-linux",
    )


def configured() -> tuple[Config | None, list[Finding]]:
    try:
        file = configuration.find()
    except Misuse as error:
        found, remedy = error.message.split("; ", 1)
        return None, [Finding("configuration", "warn", found, remedy)]
    try:
        config = configuration.read(file)
    except Misuse as error:
        remedy = "correct it; `stoker check-config` shows what is left"
        return None, [Finding("configuration", "fail", line, remedy) for line in error.message.splitlines()]
    names = ", ".join(f"{pool.name} ({format_range(pool.min, pool.max)})" for pool in config.pools)
    return config, [Finding("configuration", "ok", f"{config.source}: pools {names}")]


def state_dir(config: Config) -> Finding:
    """It, or where it is to be made, can be written, and has room for a queue."""
    wanted = config.daemon.state_dir
    place = next(folder for folder in (wanted, *wanted.parents) if os.path.lexists(folder))
    what = str(wanted) if place == wanted else f"{wanted} (to be made in {place})"
    if not place.is_dir():
        return Finding("state_dir", "fail", f"{place} is not a folder", "move it away, or change daemon.state_dir")
    if not os.access(place, os.W_OK | os.X_OK):
        return _not_writable(what, place)
    free = shutil.disk_usage(place).free
    room = f"{what}, {free // MIB} MiB free"
    if free < NO_SPACE:
        return Finding("state_dir", "fail", room, f"make room: with less than {format_size(NO_SPACE)} jobs are refused")
    if free < LITTLE_SPACE:
        return Finding("state_dir", "warn", room, "make room: a full disk means that jobs are refused")
    return Finding("state_dir", "ok", room)


def _not_writable(what: str, place: Path) -> Finding:
    owner = place.stat().st_uid
    found = f"{what} cannot be written by user {os.geteuid()}"
    if owner in (0, os.geteuid()):
        return Finding("state_dir", "fail", found, f"give {place} to the daemon's user, or change daemon.state_dir")
    return Finding("state_dir", "warn", f"{found}, it is user {owner}'s", "run doctor as the daemon's user")
