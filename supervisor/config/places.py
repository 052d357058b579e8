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
JOURNAL_SOCKET = "/run/systemd/journal/socket"


def default_socket(environ: Mapping[str, str], is_root: bool) -> Path:
    """/run/stoker.sock for root; else in $XDG_RUNTIME_DIR; else in `private_folder()`.

    Raises StartError where that last folder exists and is another user's: whoever owns it could answer in the
    daemon's place.
    """
    if is_root:
        return Path("/run/stoker.sock")
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime):  # the XDG specification: a relative one is to be ignored
        return Path(runtime) / "stoker.sock"
    folder = private_folder()
    if os.path.lexists(folder):
        check_private(folder)
    return folder / "stoker.sock"


def default_state_dir(environ: Mapping[str, str], is_root: bool) -> Path:
    """/var/lib/stoker for root; else $XDG_STATE_HOME/stoker or ~/.local/state/stoker."""
    if is_root:
        return Path("/var/lib/stoker")
    state = environ.get("XDG_STATE_HOME", "")
    return (Path(state) if os.path.isabs(state) else home(environ) / ".local/state") / "stoker"


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
