"""The way to the daemon: which socket, and what it means to a person when the conversation fails."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from protocol.client import CallFailed, ClientError, Disconnected, NoDaemon, find_socket
from supervisor.cli.failures import Failed, Misuse, NoDaemonThere, unusable
from supervisor.cli.options import Places, places
from supervisor.cli.verbatim import VerbatimClient

LOCAL_CONFIG = "stoker.toml"


class Unanswered(NoDaemonThere):
    """The daemon went away in the middle; what it was asked may have happened or not."""


@contextmanager
def daemon(timeout: float | None = None) -> Iterator[VerbatimClient]:
    """A connected client; its errors come out as sentences with exit codes. `timeout`: seconds for each call."""
    with plainly():
        client = connect(candidates(places()), timeout)
        with client:
            yield client


@contextmanager
def plainly() -> Iterator[None]:
    """The client's errors as sentences with exit codes."""
    try:
        yield
    except CallFailed as error:
        raise refusal(error) from None
    except Disconnected:
        raise Unanswered(
            "the daemon went away before it answered; whether it did what it was asked is open, "
            "`stoker status` says when it is back"
        ) from None
    except ClientError as error:
        raise NoDaemonThere(str(error)) from None
    except UnicodeEncodeError:
        raise Misuse("an argument is not UTF-8, which is all that JSON can carry") from None


def refusal(error: CallFailed) -> Failed:
    """What the daemon says when it will not."""
    return Failed(error.message if error.code != "internal" else f"the daemon failed: {error.message}")


def connect(paths: list[str], timeout: float | None = None) -> VerbatimClient:
    """The first that answers."""
    for path in paths:
        try:
            return VerbatimClient(path, timeout)
        except NoDaemon:
            continue
    raise NoDaemonThere(_unreachable(paths))


def candidates(wanted: Places) -> list[str]:
    """The sockets to try, in order. What was said in person comes before the environment, and that before the folder;
    whatever says where the daemon is, is believed, and the usual places are not tried as well."""
    if wanted.socket:
        return [wanted.socket]
    if wanted.config:
        return [configured_socket(wanted.config)]
    if os.environ.get("STOKER_SOCKET") or not os.path.exists(LOCAL_CONFIG):
        return _usual()
    return [configured_socket(LOCAL_CONFIG)]


def configured_socket(file: str) -> str:
    """What supervisor.config.load.load_socket says, in a third of the time where the file names a path."""
    import tomllib

    try:
        with open(file, "rb") as opened:
            socket = tomllib.load(opened)["daemon"]["socket"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return _load_socket(file)
    if not isinstance(socket, str) or not socket or socket[0] == "~" or "\0" in socket:
        return _load_socket(file)
    return os.path.join(os.path.dirname(os.path.abspath(file)), socket)


def _load_socket(file: str) -> str:
    from pathlib import Path

    from supervisor.config.load import load_socket
    from supervisor.errors import StartError

    try:
        return str(load_socket(Path(file), environ=os.environ, is_root=os.geteuid() == 0))
    except StartError as error:
        raise unusable(error.message) from None


def _usual() -> list[str]:
    """$STOKER_SOCKET alone; else the user's socket and the system's."""
    paths = find_socket(None, os.environ)
    if len(paths) > 1 or os.environ.get("STOKER_SOCKET") or os.geteuid() == 0:
        return paths
    from supervisor.config.places import default_socket
    from supervisor.errors import StartError

    try:
        return [str(default_socket(os.environ, is_root=False)), *paths]
    except StartError as error:
        raise Misuse(error.message) from None


def _unreachable(paths: list[str]) -> str:
    reasons = [(path, _why(path)) for path in paths]
    for path, reason in reasons:
        if reason == DENIED:
            return (
                f"{path}: permission denied: this socket is for {_owner(path)}; run the command as one who may use it, "
                "or widen daemon.socket_mode in the configuration"
            )
    tried = " or ".join(f"{path} ({reason})" for path, reason in reasons)
    return f"no daemon answers at {tried}; start one with `stoker serve`, or say where it listens with --socket"


DENIED = "permission denied"


def _why(path: str) -> str:
    try:
        mode = os.stat(path).st_mode
    except PermissionError:
        return DENIED
    except OSError as error:
        return (error.strerror or str(error)).lower()
    except ValueError:
        return "not a path"
    if not stat.S_ISSOCK(mode):
        return "not a socket"
    return "nobody listens there any more" if os.access(path, os.W_OK) else DENIED


def _owner(path: str) -> str:
    import pwd

    try:
        found = os.stat(path)
        return f"{pwd.getpwuid(found.st_uid).pw_name} (mode {stat.S_IMODE(found.st_mode):04o})"
    except (OSError, KeyError):
        return "another user"
