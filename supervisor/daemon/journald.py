"""systemd's journal as the place of the log: entries go to journald's socket, each a datagram.

By hand, as sd_notify: python-systemd and cysystemd need libsystemd, its headers and a compiler to be installed, and
block where journald does not read. What they would spare us is `_send` and core.entry.

Nothing here blocks or raises. While journald takes nothing (it is busy, stopped, being restarted) entries are held, up
to a bound; a thread brings them as soon as it reads again, also when the loop has nothing to say or is stuck. What did
not fit is counted, and the count is an entry of its own (log_lines_lost). Rejected: to wait for the journal (all pools
would wait for a disk), and to fall back to stderr, which is the same journal by another way, and does block.

journald itself drops what is over its rate limit, by unit and priority, and says so only beside the unit's log. So what
would be over it is not sent, but counted like the rest. The unit that stoker ships has a limit that is none.
"""

import array
import errno
import fcntl
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping

import structlog

from supervisor.config.model import Rate
from supervisor.config.places import JOURNAL_SOCKET
from supervisor.core.rate import Bucket

log = structlog.get_logger("stoker.journald")

ROOM = 4 * 1024 * 1024  # bytes that are held
ROOM_OF_INFO = 3 * 1024 * 1024  # what is graver has the rest to itself: a flood must not hide why it came
SEND_BUFFER = 8 * 1024 * 1024  # bytes; the kernel gives less where it must
PAUSE = 0.1  # seconds between two tries while nobody is at the path
REPORT_AFTER = 1.0  # seconds from the first line that was lost to the report, which counts those since
PATIENCE = 1.0  # seconds for what is held at the end

TOO_BUSY = "journald took nothing for so long that they could not be held"
OVER_LIMIT = "more than journald takes of this unit: give it LogRateLimitIntervalSec=1s and LogRateLimitBurst=1000000"
NO_FILE = "an entry too large for the socket could not be handed over as a file"

_LONG_AGO = -(10**18)
_TOO_LARGE = (errno.EMSGSIZE, errno.ENOBUFS)
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def is_journal(environ: Mapping[str, str], descriptor: int) -> bool:
    """Whether this descriptor is a stream to the journal, as systemd says of the stderr that it gave. Somebody may have
    redirected it since: the variable alone proves nothing."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class Journal:
    """A logger for structlog, whose events are entries. Any thread may use it. Raises OSError where there is no
    journald at the beginning."""

    def __init__(self, path: str = JOURNAL_SOCKET, limit: Rate | None = None) -> None:
        self._path = path
        self._limit = limit
        self._buckets: dict[str, Bucket] = {}
        self._lock = threading.Lock()
        self._held: deque[bytes] = deque()
        self._size = 0  # of what is held, in bytes
        self._lost: dict[str, int] = {}
        self._since = 0.0  # monotonic; the first of those
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._gone = False  # nobody is at the path
        self._socket = self._connect()

    def debug(self, entry: bytes) -> None:
        self._write(entry, "debug")

    def info(self, entry: bytes) -> None:
        self._write(entry, "info")

    def warning(self, entry: bytes) -> None:
        self._write(entry, "warning", ROOM)

    def error(self, entry: bytes) -> None:
        self._write(entry, "error", ROOM)

    critical = error

    def close(self) -> None:
        """Bring what is held, if journald takes it soon; call it last."""
        self._closing.set()
        thread = self._thread
        if thread is not None:
            thread.join(PATIENCE)
        if thread is None or not thread.is_alive():
            self._socket.close()

    # -- while the journal takes it --------------------------------------------------------------------------------

    def _write(self, entry: bytes, level: str, room: int = ROOM_OF_INFO) -> None:
        with self._lock:
            if not self._may_send(level):
                self._lose(OVER_LIMIT)
            elif self._held or not self._send(entry):
                self._hold(entry, room)

    def _may_send(self, level: str) -> bool:
        if self._limit is None:
            return True
        bucket = self._buckets.get(level)
        if bucket is None:  # half at once and half over the time is never more than the limit in any such time
            rate = Rate(count=max(1, self._limit.count // 2), period=self._limit.period)
            bucket = self._buckets[level] = Bucket(rate, rate.count, _LONG_AGO)
        now = time.monotonic_ns()
        if not bucket.has_one(now):
            return False
        bucket.take(now)
        return True

    def _send(self, entry: bytes) -> bool:
        """False: not now."""
        try:
            self._socket.send(entry)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _TOO_LARGE:
                return self._send_file(entry)
            return self._send_anew(entry)
        return True

    def _send_anew(self, entry: bytes) -> bool:
        """Its socket is not the one it was: systemd keeps it open while journald restarts, but not for ever."""
        try:
            replacement = self._connect()
        except OSError:
            self._gone = True
            return False
        self._socket.close()
        self._socket, self._gone = replacement, False
        try:
            self._socket.send(entry)
        except OSError as error:
            return error.errno in _TOO_LARGE and self._send_file(entry)
        return True

    def _send_file(self, entry: bytes) -> bool:
        """What no datagram can hold goes as a file in memory, sealed, so that journald can trust it not to change."""
        try:
            with open(os.memfd_create("stoker-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "wb", buffering=0) as file:
                file.write(entry)
                fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
                rights = array.array("i", [file.fileno()])
                self._socket.sendmsg([], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        except BlockingIOError:
            return False
        except OSError:
            self._lose(NO_FILE)
        return True

    def _connect(self) -> socket.socket:
        """Connected, for the kernel to tell when journald reads again."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            made.connect(self._path)
        except OSError:
            made.close()
            raise
        return made

    # -- while it does not -----------------------------------------------------------------------------------------

    def _hold(self, entry: bytes, room: int) -> None:
        if self._size + len(entry) > room:
            self._lose(TOO_BUSY)
            return
        self._held.append(entry)
        self._size += len(entry)
        self._need_thread()

    def _lose(self, reason: str) -> None:
        if not self._lost:
            self._since = time.monotonic()
        self._lost[reason] = self._lost.get(reason, 0) + 1
        self._need_thread()

    def _need_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._catch_up, name="stoker-journal", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # no thread can be had, or the interpreter is on its way out
                self._thread = None

    def _catch_up(self) -> None:
        """Until nothing is held, and what was lost is said."""
        while True:
            with self._lock:
                took = self._step()
                lost = self._due()
                if not (self._held or self._lost or lost):
                    self._thread = None
                    return
            for reason, count in lost.items():
                log.warning("log_lines_lost", count=count, reason=reason)
            if not took:
                self._wait()
            elif not self._held and not lost:
                self._closing.wait(REPORT_AFTER)

    def _step(self) -> bool:
        """One of those that are held: between two the loop may have its turn. False: not now."""
        if self._held:
            if not self._send(self._held[0]):
                return False
            self._size -= len(self._held.popleft())
        return True

    def _due(self) -> dict[str, int]:
        """What was lost, if nothing stands before the report of it and it is time."""
        soon = time.monotonic() < self._since + REPORT_AFTER and not self._closing.is_set()
        if self._held or not self._lost or soon:
            return {}
        lost, self._lost = self._lost, {}
        return lost

    def _wait(self) -> None:
        """Until journald may have read something."""
        if self._gone:
            time.sleep(PAUSE)
            return
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        poll.poll(1000)
