"""The terminal: taken for a while, and given back as it was, however that while ends.

It is written through a file description of our own, which never blocks: over a slow line frames are left out, and a
dead one keeps nobody from leaving.
"""

import contextlib
import os
import re
import select
import signal
import sys
import termios
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

# The other screen, no cursor, nothing wrapped at the edge; and the way back.
_TAKE = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H\x1b[2J"
_GIVE_BACK = b"\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
_GIVING_BACK = 1000  # milliseconds that a terminal has to take that

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_HEARD = (*ENDING, signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT)

_KEYS = re.compile(rb"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
_UNFINISHED = re.compile(rb"\x1b([\[O][0-9;]*)?$")
_NAMES = {
    b"\x1b[A": "up",
    b"\x1bOA": "up",
    b"\x1b[B": "down",
    b"\x1bOB": "down",
    b"\x1b[5~": "page up",
    b"\x1b[6~": "page down",
    b"\x1b[H": "home",
    b"\x1bOH": "home",
    b"\x1b[1~": "home",
    b"\x1b[F": "end",
    b"\x1bOF": "end",
    b"\x1b[4~": "end",
}


class Heard(NamedTuple):
    """What `Terminal.wait` returns for: keys and signals, in their order; `gone`: there is no terminal any more."""

    keys: tuple[str, ...] = ()
    signals: tuple[int, ...] = ()
    gone: bool = False


def keys_of(received: bytes) -> tuple[tuple[str, ...], bytes]:
    """The keys in what was read, and the begin of one whose rest is still to come. Arrows and the like have names."""
    unfinished = _UNFINISHED.search(received)
    rest = unfinished[0] if unfinished else b""
    found = _KEYS.findall(received.removesuffix(rest))
    return tuple(_NAMES.get(key, key.decode("latin-1")) for key in found), rest


class Terminal:
    """`keyboard`: whether keys can be read. `nudge` may be called from any thread, and makes `wait` return."""

    def __init__(self) -> None:
        self.keyboard = sys.stdin.isatty()
        self._unwritten = b""
        self._received = b""
        self._usual: list[object] | None = None
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> Self:
        self._output = _own_output()
        self._awake, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup_before = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for number in _HEARD:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup means it
                self._handlers[number] = signal.signal(number, lambda *_: None)
        try:
            self._take()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._give_back()
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # it came from getsignal
        for fd in (self._output, self._awake, self._wake):
            os.close(fd)

    def _take(self) -> None:
        if self.keyboard:
            self._usual = termios.tcgetattr(0)
            raw = termios.tcgetattr(0)
            raw[3] &= ~(termios.ICANON | termios.ECHO)
            with _background_writes_allowed():
                termios.tcsetattr(0, termios.TCSADRAIN, raw)
        self._unwritten = _TAKE

    def _give_back(self) -> None:
        """What is half written is finished first, or the rest of it would land on the shell's screen."""
        left = self._unwritten + _GIVE_BACK
        poll = select.poll()
        poll.register(self._output, select.POLLOUT)
        with contextlib.suppress(OSError):
            while left and poll.poll(_GIVING_BACK):
                left = left[os.write(self._output, left) :]
        self._unwritten = b""
        if self._usual is not None:
            with contextlib.suppress(termios.error), _background_writes_allowed():
                termios.tcsetattr(0, termios.TCSANOW, self._usual)  # type: ignore[arg-type]  # as tcgetattr gave it

    def stop(self) -> None:
        """Ctrl-Z: give the terminal back, and return when somebody has let us go on."""
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows; at least one of each."""
        try:
            columns, rows = os.get_terminal_size(self._output)
        except OSError:
            columns, rows = 0, 0
        return (columns, rows) if columns and rows else (80, 24)  # a serial line says 0 by 0

    @property
    def ready(self) -> bool:
        """Whether all that was written has been taken: who writes more now does not only fill a queue."""
        return not self._unwritten

    def write(self, data: bytes) -> None:
        self._unwritten += data
        self._flush()

    def _flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._unwritten:
                self._unwritten = self._unwritten[os.write(self._output, self._unwritten) :]

    def nudge(self) -> None:
        with contextlib.suppress(OSError):  # full is as good; closed: we are leaving
            os.write(self._wake, b"\0")

    def wait(self) -> Heard:
        """Return when there is something to act on: a key, a signal, a nudge, or room to write again."""
        poll = select.poll()
        poll.register(self._awake, select.POLLIN)
        poll.register(self._output, select.POLLOUT if self._unwritten else 0)
        if self.keyboard:
            poll.register(0, select.POLLIN)
        ready = dict(poll.poll())
        try:
            if ready.get(self._output, 0) & select.POLLOUT:
                self._flush()
            keys = self._keys() if ready.get(0) else ()
        except OSError:
            return Heard(gone=True)
        gone = bool(ready.get(self._output, 0) & (select.POLLHUP | select.POLLERR))
        return Heard(keys, self._signals() if ready.get(self._awake) else (), gone)

    def _keys(self) -> tuple[str, ...]:
        received = os.read(0, 4096)
        if not received:
            raise OSError("the terminal is gone")
        keys, self._received = keys_of(self._received + received)
        return keys

    def _signals(self) -> tuple[int, ...]:
        with contextlib.suppress(BlockingIOError):
            return tuple(number for number in os.read(self._awake, 4096) if number)
        return ()


def _own_output() -> int:
    """Stdout's terminal, opened anew, so that only for us it does not block. Who became another user (`su`) may not
    open it; then it is stdout itself, as it is."""
    try:
        return os.open(os.ttyname(1), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return os.dup(1)


@contextlib.contextmanager
def _background_writes_allowed() -> Iterator[None]:
    """A process in the background that sets a terminal's mode is stopped for it; on the way out, for ever."""
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTTOU, before)
