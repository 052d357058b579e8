"""Starting one worker: everything between a pool's configuration and a running child."""

import contextlib
import errno
import fcntl
import itertools
import os
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from supervisor.config.model import PoolConfig
from supervisor.errors import StokerError
from supervisor.pool.account import Account, find_account
from supervisor.pool.cgroups import Cgroup
from supervisor.pool.child import Child, describe_exit
from supervisor.pool.environment import environment
from supervisor.pool.gate import OPEN, SHELL, enters_itself, gated
from supervisor.pool.program import look_for
from supervisor.pool.settings import settle
from supervisor.pool.spawn import spawn
from supervisor.pool.tree import signal_group

MARK = "STOKER_WORKER"
_SERIAL = itertools.count(1)

_WORDS_KEPT = 1024  # bytes of what a shell says that could not become the program


class SpawnFailed(StokerError):
    """The program could not be started at all."""

    code = "spawn_failed"


def launch(
    config: PoolConfig, slot: int, *, instance: str, environ: Mapping[str, str], cgroup: Cgroup | None = None
) -> Child:
    """Start the worker of place `slot`, in `cgroup` before its first instruction. Raises SpawnFailed with the reason;
    then nothing of it is left but the cgroup, which is empty.

    `environ` is the daemon's own environment; `instance` and a serial number make the mark that no other worker has.
    Its place would not do: a pool that is removed and comes back has workers in those of workers that still end.

    It blocks. The calling thread must live as long as the daemon: the kernel's parent-death signal follows the thread
    that started the process. That is why trio's own open_process, which has it started by one that ends, is of no use.
    """
    try:
        account = find_account(config.user, config.group)
        env = environment(config, environ, account) | {
            "STOKER_PROTOCOL": "1",
            "STOKER_POOL": config.name,
            "STOKER_SLOT": str(slot),
            "STOKER_INSTANCE": instance,
            MARK: f"{instance}/{config.name}/{slot}/{next(_SERIAL)}",
        }
        look_for(config.command[0], config.cwd, env.get("PATH"), environ.get("PATH"))
        return _start(config, slot, env, account, cgroup)
    except StokerError as error:
        raise SpawnFailed(f"cannot start {config.command[0]!r}: {error.message}") from None


def _start(
    config: PoolConfig, slot: int, env: Mapping[str, str], account: Account | None, cgroup: Cgroup | None
) -> Child:
    argv, shell_env = gated(config, env, account, cgroup)
    with ExitStack() as reaping, ExitStack() as ours, ExitStack() as theirs:
        try:
            stdin, requests = _pipe(theirs, ours)
            replies, stdout = _pipe(ours, theirs)
            errors, stderr = _pipe(ours, theirs)
            if account is not None and account.uid is not None:
                _give((stdin, stdout, stderr), account.uid)
            pid = spawn(argv, shell_env, cwd=config.cwd, stdio=(stdin, stdout, stderr))
            # Should it be out of reach of a signal, it goes at the end of its input; so it is waited for last.
            reaping.callback(os.waitpid, pid, 0)
            ours.callback(signal_group, pid, signal.SIGKILL)
            theirs.close()
            for fd in (requests, replies, errors):
                os.set_blocking(fd, False)
            child = Child(pid, requests, replies, errors, f"{MARK}={env[MARK]}".encode(), cgroup)
        except (OSError, ValueError) as error:
            raise SpawnFailed(_why(error, config.cwd)) from None
        ours.callback(os.close, child.pidfd)
        try:
            settle(config, slot, pid, None if enters_itself(config) else cgroup)
            os.write(requests, OPEN)
        except (BrokenPipeError, ProcessLookupError):
            raise SpawnFailed(_last_words(pid, errors)) from None
        for stack in (reaping, ours):
            stack.pop_all()
        return child


def _pipe(reads: ExitStack, writes: ExitStack) -> tuple[int, int]:
    """Both ends, each to be closed by its stack."""
    ends = [_Descriptor(fd) for fd in os.pipe2(os.O_CLOEXEC)]
    for end, stack in zip(ends, (reads, writes), strict=True):
        stack.callback(end.close)
    for end in ends:
        end.rise()
    return ends[0].fd, ends[1].fd


class _Descriptor:
    """Above 2 after `rise`: a daemon may have been started without a stdin."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def rise(self) -> None:
        if self.fd <= 2:
            low, self.fd = self.fd, fcntl.fcntl(self.fd, fcntl.F_DUPFD_CLOEXEC, 3)
            os.close(low)

    def close(self) -> None:
        os.close(self.fd)


def _give(pipes: tuple[int, ...], uid: int) -> None:
    """To the worker's user, who could otherwise use the descriptors but not open /dev/stderr."""
    with contextlib.suppress(OSError):
        for fd in pipes:
            os.fchown(fd, uid, -1)


def _last_words(pid: int, stderr: int) -> str:
    """Of a shell that has died before it could become the program; it is not reaped yet."""
    end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert end is not None
    status = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
    said = ""
    with contextlib.suppress(OSError):
        said = os.read(stderr, _WORDS_KEPT).decode("utf-8", "replace").strip()
    return f"{SHELL} {describe_exit(status)[0]} before it could become the worker" + (f": {said}" if said else "")


def _why(error: OSError | ValueError, cwd: Path) -> str:
    if isinstance(error, ValueError):
        return "its command or environment holds a NUL"
    if isinstance(error, (FileNotFoundError, NotADirectoryError)) and not os.path.isdir(cwd):
        return f"its working directory {cwd} does not exist"
    if error.errno == errno.E2BIG:
        return "its command and environment are together more than the kernel hands to a program"
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno == errno.EACCES and not os.access(cwd, os.X_OK):
        return f"its working directory {cwd}: {reason}"
    return reason
