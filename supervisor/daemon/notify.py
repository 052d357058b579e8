"""What systemd wants to hear, over the socket it names: sd_notify(3), by hand. Without that socket, nothing happens."""

import errno
import os
import re
import socket
from collections.abc import Mapping, MutableMapping

from supervisor.errors import StartError

_STATUS_MAX = 900  # characters: the whole message must stay under the 4096 bytes that systemd reads


class Notifier:
    """Every method sends one datagram and says whether it left. None blocks, none raises.

    `watchdog_interval`: how often to call watchdog(), in seconds; None when systemd does not watch.
    """

    def __init__(self, address: str | None = None, watchdog_interval: float | None = None) -> None:
        self._address = address
        self.watchdog_interval = watchdog_interval

    @property
    def hears(self) -> bool:
        """Whether there is anybody to tell."""
        return self._address is not None

    @classmethod
    def from_environ(cls, environ: MutableMapping[str, str]) -> "Notifier":
        """Takes the variables out of `environ`, so that no worker believes they are for it."""
        taken = {name: environ.pop(name, "") for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")}
        name = taken["NOTIFY_SOCKET"]
        address = "\0" + name[1:] if name.startswith("@") else name if name.startswith("/") else None
        return cls(address, _watchdog_interval(taken) if address else None)

    def ready(self, status: str) -> bool:
        return self._send("READY=1\nSTATUS=" + _one_line(status))

    def status(self, text: str) -> bool:
        return self._send("STATUS=" + _one_line(text))

    def stopping(self) -> bool:
        return self._send("STOPPING=1")

    def watchdog(self) -> bool:
        return self._send("WATCHDOG=1")

    def extend(self, seconds: float) -> bool:
        """A start or a stop goes on, and is to be given up only if nothing more is heard for so long. Never shortens
        what systemd would have waited anyway."""
        return self._send(f"EXTEND_TIMEOUT_USEC={max(1, int(seconds * 1_000_000))}")

    def failed(self, error: BaseException) -> bool:
        """Why the daemon ends: `systemctl status` shows both."""
        return self._send(f"STATUS={_one_line(in_a_line(error))}\nERRNO={_number(error)}")

    def _send(self, message: str) -> bool:
        if self._address is None:
            return False
        try:
            # A socket for each message: systemd may have been re-executed since the last one.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.sendto(message.encode("utf-8", "replace"), self._address)
        except OSError:
            return False
        return True


def _watchdog_interval(variables: Mapping[str, str]) -> float | None:
    """Half of what systemd waits. A WATCHDOG_PID that is not ours means that another process is watched."""
    usec, pid = variables["WATCHDOG_USEC"], variables["WATCHDOG_PID"]
    if not re.fullmatch("0*[1-9][0-9]{0,17}", usec) or pid not in ("", str(os.getpid())):
        return None
    return int(usec) / 2_000_000


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_STATUS_MAX]


def in_a_line(error: BaseException) -> str:
    """What an error says; of a configuration with several problems, the first and how many more there are."""
    text = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
    first, *more = [line for line in text.splitlines() if line.strip()] or [type(error).__name__]
    return first + (f" (and {len(more)} more: see the log)" if more else "")


def _number(error: BaseException | None) -> int:
    """The errno of the system's error that it stands for; else one that says whether another try may help."""
    seen, number = error, errno.EIO
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno:
            return seen.errno
        if isinstance(seen, StartError):
            number = errno.EINVAL
        seen = seen.__cause__ or seen.__context__
    return number
