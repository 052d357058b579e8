"""The part of `stoker doctor` that looks for the daemon: its socket, its answer, its version."""

import os
import stat
from collections.abc import Generator, Iterator
from importlib import metadata
from pathlib import Path

from protocol.client import CallFailed, Client, ClientError, NoDaemon
from supervisor.cli.connection import candidates
from supervisor.cli.failures import Misuse
from supervisor.cli.options import places
from supervisor.cli.probes import OURS, Finding
from supervisor.cli.probes_process import process
from supervisor.cli.probes_unit import stop_time
from supervisor.config.kinds import SOCKET_PATH_MAX
from supervisor.config.model import Config
from supervisor.config.places import database_path

ANSWER_WITHIN = 5.0  # seconds


def socket_and_daemon(config: Config | None) -> Iterator[Finding]:
    """The socket that a client command with the same options would use, and whoever answers there."""
    try:
        paths = candidates(places())
    except Misuse as error:
        yield Finding("socket", "fail", error.message.splitlines()[0], "correct it, or say which socket with --socket")
        return
    if config is not None and str(config.daemon.socket) not in map(os.path.abspath, paths):
        yield Finding(
            "socket",
            "warn",
            f"clients would use {paths[0]}, and the configuration says {config.daemon.socket}",
            "let --socket, $STOKER_SOCKET and the configuration agree",
        )
    path = next((path for path in paths if os.path.lexists(path)), paths[0])
    finding = _socket(path)
    yield finding
    pid = (yield from _daemon(path, config)) if finding.level != "fail" and os.path.exists(path) else None
    if config is not None:
        yield from _other_daemon(config, pid)


def _socket(path: str) -> Finding:
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_MAX:
        return Finding("socket", "fail", f"{path} has {length} bytes", f"at most {SOCKET_PATH_MAX} are possible")
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return _absent(path)
    except OSError as error:
        return Finding("socket", "fail", f"{path}: {error.strerror}", "run doctor as one who may use the socket")
    if not stat.S_ISSOCK(found.st_mode):
        return Finding("socket", "fail", f"{path} is not a socket", "move it away, or change daemon.socket")
    said = f"{path}, mode {stat.S_IMODE(found.st_mode):04o}, user {found.st_uid}, group {found.st_gid}"
    if not os.access(path, os.W_OK):
        return Finding("socket", "fail", f"{said}: not for us", "run doctor as another user, or widen socket_mode")
    if found.st_mode & stat.S_IWOTH:
        return Finding("socket", "warn", f"{said}: open to every user", "set daemon.socket_mode to 0600 or 0660")
    return Finding("socket", "ok", said)


def _absent(path: str) -> Finding:
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        return Finding("socket", "warn", f"{path}: its folder does not exist", f"mkdir -p {folder}")
    return Finding("socket", "warn", f"{path} does not exist: no daemon runs here", "stoker serve")


def _other_daemon(config: Config, ours: object) -> Iterator[Finding]:
    """Two of them, or one that listens elsewhere: by who has the configuration's store open."""
    lock = database_path(config).with_name(f"{database_path(config).name}.lock")
    try:
        holder = _holder(os.stat(lock).st_ino, Path("/proc/locks").read_text())
    except OSError:
        return
    if holder is None or holder == ours:
        return
    if ours is None:
        told = f"process {holder} has the store open, and no daemon answers at this socket"
        yield Finding("daemon", "fail", told, "let --socket and daemon.socket agree; else see that daemon's log")
    else:
        told = f"process {holder} has the store of {config.source} open, and process {ours} answers at the socket"
        yield Finding("daemon", "fail", told, "two daemons run: stop one, or say which with --socket or -c")


def _holder(inode: int, locks: str) -> int | None:
    """The process with a flock on that file; to ask the lock itself could make a daemon that starts just now fail."""
    for line in locks.splitlines():
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5].endswith(f":{inode}") and int(fields[4]) > 0:
            return int(fields[4])
    return None


def _daemon(path: str, config: Config | None) -> Generator[Finding, None, object]:
    """Returns its process's number, where it says it."""
    try:
        with Client(path, ANSWER_WITHIN) as client:
            version = client.ping()["version"]
            status = client.status()
    except NoDaemon:
        yield Finding("daemon", "warn", "nobody listens at the socket any more", "stoker serve")
        return None
    except CallFailed as error:
        yield Finding("daemon", "fail", error.message, "see the daemon's log")
        return None
    except (ClientError, LookupError, TypeError) as error:
        yield Finding("daemon", "fail", f"no proper answer: {error}", "see the daemon's log, or restart it")
        return None
    ours = _our_version()
    if version == ours:
        yield Finding("daemon", "ok", f"version {version} answers")
    else:
        yield Finding("daemon", "warn", f"the daemon is version {version}, this command {ours}", "restart the daemon")
    yield from stop_time(status.get("pid"), config)
    yield from _complaints(status)
    yield from process(status)
    return status.get("pid")


def _our_version() -> str:
    try:
        return metadata.version(OURS)
    except metadata.PackageNotFoundError:
        return "unknown"


def _complaints(status: dict[str, object]) -> Iterator[Finding]:
    """What the daemon itself says is wrong."""
    store = status.get("store")
    if isinstance(store, dict) and store.get("state") != "ok":
        yield Finding("store", "fail", str(store.get("reason")), "see `stoker status`; submits are refused meanwhile")
    pools = status.get("pools")
    for pool in pools if isinstance(pools, list) else []:
        if pool.get("state") == "degraded":
            remedy = (
                "mend what the reason names; it is tried again by itself, at most 30 s apart, "
                "and `stoker reload` takes a changed configuration"
            )
            yield Finding("pool", "fail", f"{pool['pool']} is degraded: {pool.get('reason')}", remedy)
    unserved = status.get("unserved")
    for queue in unserved if isinstance(unserved, list) else []:
        yield Finding("queue", "warn", f"no pool serves {queue}", "put it into a pool's queues")
