"""Where things are when a configuration does not say. Pure naming: nothing is created here but by `make_private`."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.errors import StartError

if TYPE_CHECKING:  # a client that looks for the socket does without msgspec, a third of its start-up time
    from collections.abc import Mapping

    from supervisor.config.model import Config

SQLITE = "sqlite:"
SYSTEM_FOLDER = Path("/etc/stoker")  # where the configurations of the system's services lie
JOURNAL_SOCKET = "/run/systemd/journal/socket"


def default_socket(environ: Mapping[str, str], is_root: bool, file: Path | None = None) -> Path:
    """/run/stoker.sock for root, and for a configuration `file` in /etc/stoker; else in $XDG_RUNTIME_DIR; else in
    `private_folder()`. Named after an instance's file: see `daemon_name`.

    Raises StartError where that last folder exists and is another user's: whoever owns it could answer in the
    daemon's place.
    """
    name = f"{daemon_name(file, environ)}.sock"
    if is_root or _is_systems(file):
        return Path("/run") / name
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime):  # the XDG specification: a relative one is to be ignored
        return Path(runtime) / name
    folder = private_folder()
    if os.path.lexists(folder):
        check_private(folder)
    return folder / name


def default_state_dir(environ: Mapping[str, str], is_root: bool, file: Path | None = None) -> Path:
    """The one that systemd made for the service; else /var/lib/stoker for root, and for a configuration `file` in
    /etc/stoker; else $XDG_STATE_HOME/stoker or ~/.local/state/stoker. Named as the socket is."""
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]  # systemd.exec(5): all of StateDirectory=
    if os.path.isabs(given):
        return Path(given)
    name = daemon_name(file, environ)
    if is_root or _is_systems(file):
        return Path("/var/lib") / name
    state = environ.get("XDG_STATE_HOME", "")
    return (Path(state) if os.path.isabs(state) else home(environ) / ".local/state") / name


def daemon_name(file: Path | None, environ: Mapping[str, str]) -> str:
    """`stoker`; by the file mail.toml in one of the folders where services have theirs, `stoker-mail`. So the daemon of
    stoker@mail.service and everybody who names its file mean the same socket, and no two instances meet in one."""
    if file is None or file.suffix != ".toml" or file.stem == "stoker":
        return "stoker"
    return f"stoker-{file.stem}" if file.parent in (SYSTEM_FOLDER, user_folder(environ)) else "stoker"


def user_folder(environ: Mapping[str, str]) -> Path:
    """Where the configuration of a user's service lies."""
    config = environ.get("XDG_CONFIG_HOME", "")
    return (Path(config) if os.path.isabs(config) else home(environ) / ".config") / "stoker"


def _is_systems(file: Path | None) -> bool:
    """Whoever asks: the daemon, which is not root, its clients, and `stoker doctor`."""
    return file is not None and file.parent == SYSTEM_FOLDER


def home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or os.path.expanduser("~"))


def private_folder() -> Path:
    """The last resort for a socket. Always under /tmp: $TMPDIR may differ between a daemon and its clients."""
    return Path(f"/tmp/stoker-{os.getuid()}")


def make_private(folder: Path) -> None:
    """Create it for us alone, or find it so; raises StartError otherwise."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        check_private(folder)
    except OSError as error:
        raise StartError(
            f"cannot create the folder {folder}: {error.strerror}; name another socket (daemon.socket)"
        ) from None


def check_private(folder: Path) -> None:
    """In a folder that anybody may write to, a name proves nothing: owner, kind and mode do."""
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StartError(
            f"{folder} must be a folder of your own with mode 0700 and is not: "
            "remove it, or set XDG_RUNTIME_DIR, or name another socket (daemon.socket, --socket)"
        )


def database_path(config: Config) -> Path:
    """The SQLite file that `store.url` names."""
    return config.daemon.state_dir / config.store.url.removeprefix(SQLITE)
