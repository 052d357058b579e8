"""One child process: its pipes, its pidfd, its end. Everything here is a system call away from the kernel's truth."""

import array
import contextlib
import fcntl
import os
import select
import signal
import termios
import time

import trio

from supervisor.pool.cgroups import Cgroup
from supervisor.pool.tree import signal_group


class Child:
    """A running child in a session of its own. Descriptors are ours, non-blocking, and closed by `close`. `mark` is
    the entry of its environment (NAME=VALUE) that no other live worker and its descendants have; `cgroup` is its own,
    where it has one."""

    def __init__(
        self,
        pid: int,
        requests: int,
        replies: int,
        stderr: int,
        mark: bytes,
        cgroup: Cgroup | None = None,
    ) -> None:
        self.pid = pid
        self.mark = mark
        self.cgroup = cgroup
        self.requests = requests
        self.replies = replies
        self.stderr = stderr
        self.pidfd = os.pidfd_open(pid)
        self.started = time.monotonic()
        self.dead = trio.Event()
        self._exit: int | None = None
        self._poll = select.poll()
        self._poll.register(replies, select.POLLIN)
        self._poll.register(self.pidfd, select.POLLIN)

    def silent(self) -> bool:
        """Whether it lives and has said nothing that is still unread: what an idle child must be to be given work."""
        return not self._poll.poll(0)

    def write(self, data: bytes | memoryview) -> int:
        """How many bytes the pipe took; 0 when it is full. BrokenPipeError: nobody can read it any more."""
        try:
            return os.write(self.requests, data)
        except BlockingIOError:
            return 0

    def unread(self) -> int:
        """Bytes we wrote that the child has not read (FIONREAD works on the writing end too). The one that opens its
        gate counts while it is in there; it goes first, so with it no byte of a request can have been read."""
        if self.requests < 0:
            return 0
        count = array.array("i", [0])
        fcntl.ioctl(self.requests, termios.FIONREAD, count)
        return count[0]

    def close_requests(self) -> None:
        if self.requests >= 0:
            trio.lowlevel.notify_closing(self.requests)
            os.close(self.requests)
            self.requests = -1

    def signal(self, number: signal.Signals) -> None:
        """To the whole group."""
        signal_group(self.pid, number)

    async def watch(self) -> None:
        """Return when the leader is dead; one task does this, and tells whoever waits for `dead`. It stays a zombie,
        and its number taken, until `reap`."""
        await trio.lowlevel.wait_readable(self.pidfd)
        self.dead.set()

    def reap(self) -> int:
        """The exit code, or minus the signal. Only once it is dead."""
        if self._exit is None:
            self._exit = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._exit

    def close(self) -> None:
        self.close_requests()
        for fd in (self.replies, self.stderr, self.pidfd):
            trio.lowlevel.notify_closing(fd)
            os.close(fd)


def describe_exit(status: int) -> tuple[str, int | None, str | None]:
    """A wait status in words, as exit code, and as signal name."""
    if status >= 0:
        return f"exited with code {status}", status, None
    with contextlib.suppress(ValueError):
        name = signal.Signals(-status).name
        return f"was killed by {name}", None, name
    return f"was killed by signal {-status}", None, f"SIG{-status}"
