"""One child process: its pipes, its pidfd, its end. Everything here is a system call away from the kernel's truth."""

import array
import contextlib
import fcntl
import os
import resource
import select
import shutil
import signal
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import trio

from supervisor.errors import StokerError
from supervisor.pool.tree import signal_group

MARK = "STOKER_WORKER"

# As the daemon was given them; it raises its own for the sake of its connections.
_NOFILE = resource.getrlimit(resource.RLIMIT_NOFILE)


class SpawnFailed(StokerError):
    """The program could not be started at all."""

    code = "spawn_failed"


class Child:
    """A running child in a session of its own. Descriptors are ours, non-blocking, and closed by `close`. `mark` is
    the entry of its environment (NAME=VALUE) that no other live worker and its descendants have."""

    def __init__(self, process: "subprocess.Popen[bytes]", stdin: int, stdout: int, stderr: int, mark: bytes) -> None:
        self.pid = process.pid
        self.mark = mark
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.pidfd = os.pidfd_open(process.pid)
        self.started = time.monotonic()
        self.dead = trio.Event()
        self._process = process
        self._poll = select.poll()
        self._poll.register(stdout, select.POLLIN)
        self._poll.register(self.pidfd, select.POLLIN)

    def silent(self) -> bool:
        """Whether it lives and has said nothing that is still unread: what an idle child must be to be given work."""
        return not self._poll.poll(0)

    def write(self, data: bytes | memoryview) -> int:
        """How many bytes the pipe took; 0 when it is full. BrokenPipeError: nobody can read it any more."""
        try:
            return os.write(self.stdin, data)
        except BlockingIOError:
            return 0

    def unread(self) -> int:
        """Bytes we wrote that the child has not read (FIONREAD works on the writing end too)."""
        if self.stdin < 0:
            return 0
        count = array.array("i", [0])
        fcntl.ioctl(self.stdin, termios.FIONREAD, count)
        return count[0]

    def close_stdin(self) -> None:
        if self.stdin >= 0:
            trio.lowlevel.notify_closing(self.stdin)
            os.close(self.stdin)
            self.stdin = -1

    def signal(self, number: signal.Signals) -> None:
        """To the whole group."""
        signal_group(self.pid, number)

    async def watch(self) -> None:
        """Return when the leader is dead; one task does this, and tells whoever waits for `dead`. It stays a zombie,
        and its number taken, until `reap`."""
        await trio.lowlevel.wait_readable(self.pidfd)
        self.dead.set()

    def reap(self) -> int:
        """The wait status, as subprocess has it: the exit code, or minus the signal. Only once it is dead."""
        return self._process.wait()

    def close(self) -> None:
        self.close_stdin()
        for fd in (self.stdout, self.stderr, self.pidfd):
            trio.lowlevel.notify_closing(fd)
            os.close(fd)


def spawn(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], mark: str) -> Child:
    """Start `command` in a new session; `mark` is a value for $STOKER_WORKER that no other live worker has. Raises
    SpawnFailed with the reason.

    Forks on the calling thread, which must be the main one: the kernel's parent-death signal follows the thread that
    forked. That is why trio's own open_process, which forks on a thread that ends, is of no use here.
    """
    argv = _with_death_signal(command, cwd, env)
    env = {**env, MARK: mark}
    ends: list[int] = []
    try:
        for _ in range(3):
            ends.extend(os.pipe2(os.O_CLOEXEC))
        in_read, in_write, out_read, out_write, err_read, err_write = ends
        process = subprocess.Popen(
            argv, stdin=in_read, stdout=out_write, stderr=err_write, cwd=cwd, env=env, start_new_session=True
        )
    except OSError as error:
        for fd in ends:
            os.close(fd)
        raise SpawnFailed(f"cannot start {command[0]!r}: {_why(error, cwd)}") from None
    for fd in (in_read, out_write, err_write):
        os.close(fd)
    with contextlib.suppress(OSError):  # it may be gone already
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, _NOFILE)
    ours = (in_write, out_read, err_read)
    try:
        for fd in ours:
            os.set_blocking(fd, False)
        return Child(process, *ours, f"{MARK}={mark}".encode())
    except OSError as error:  # no descriptor left for its pidfd
        signal_group(process.pid, signal.SIGKILL)
        process.wait()
        for fd in ours:
            os.close(fd)
        raise SpawnFailed(f"cannot start {command[0]!r}: {_why(error, cwd)}") from None


def _with_death_signal(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> list[str]:
    """The argv that makes the kernel kill the child when the daemon dies, where util-linux is installed.

    setpriv execs, so the pid is the program's. It would hide a missing program as exit 127: looked up here first.
    """
    program = command[0]
    if "/" in program:
        found = str(cwd / program)
        if not os.access(found, os.X_OK) or os.path.isdir(found):
            reason = "it is not an executable file" if os.path.exists(found) else "there is no such file"
            raise SpawnFailed(f"cannot start {program!r}: {reason}")
    elif shutil.which(program, path=env.get("PATH", os.defpath)) is None:
        raise SpawnFailed(f"cannot start {program!r}: it is not in PATH ({env.get('PATH', os.defpath)})")
    setpriv = shutil.which("setpriv")
    return [*([setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []), *command]


def _why(error: OSError, cwd: Path) -> str:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)) and not cwd.is_dir():
        return f"its working directory {cwd} does not exist"
    return os.strerror(error.errno) if error.errno else str(error)


def describe_exit(status: int) -> tuple[str, int | None, str | None]:
    """A wait status in words, as exit code, and as signal name."""
    if status >= 0:
        return f"exited with code {status}", status, None
    with contextlib.suppress(ValueError):
        name = signal.Signals(-status).name
        return f"was killed by {name}", None, name
    return f"was killed by signal {-status}", None, f"SIG{-status}"
