"""Starting one worker: everything between a pool's configuration and a running child."""

import contextlib
import errno
import os
import signal
import subprocess
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
from supervisor.pool.tree import signal_group

MARK = "STOKER_WORKER"

_WORDS_KEPT = 1024  # bytes of what a shell says that could not become the program


class SpawnFailed(StokerError):
    """The program could not be started at all."""

    code = "spawn_failed"


def launch(
    config: PoolConfig, slot: int, *, instance: str, environ: Mapping[str, str], cgroup: Cgroup | None = None
) -> Child:
    """Start the worker of place `slot`, in `cgroup` before its first instruction. Raises SpawnFailed with the reason;
    then nothing of it is left but the cgroup, which is empty.

    `environ` is the daemon's own environment; `instance` and the slot make the mark that no other live worker has.

    Forks on the calling thread, which must be the main one: the kernel's parent-death signal follows the thread that
    forked. That is why trio's own open_process, which forks on a thread that ends, is of no use here.
    """
    try:
        account = find_account(config.user, config.group)
        env = environment(config, environ, account) | {
            "STOKER_PROTOCOL": "1",
            "STOKER_POOL": config.name,
            "STOKER_SLOT": str(slot),
            "STOKER_INSTANCE": instance,
            MARK: f"{instance}/{config.name}/{slot}",
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
            process = subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=config.cwd,
                env=shell_env,
                umask=-1 if config.umask is None else config.umask,
                start_new_session=True,
            )
            # Should it be out of reach of a signal, it goes at the end of its input; so it is waited for last.
            reaping.callback(process.wait)
            ours.callback(signal_group, process.pid, signal.SIGKILL)
            theirs.close()
            for fd in (requests, replies, errors):
                os.set_blocking(fd, False)
            child = Child(process, requests, replies, errors, f"{MARK}={env[MARK]}".encode(), cgroup)
        except (OSError, ValueError) as error:
            raise SpawnFailed(_why(error, config.cwd)) from None
        ours.callback(os.close, child.pidfd)
        try:
            settle(config, slot, process.pid, None if enters_itself(config) else cgroup)
            os.write(requests, OPEN)
        except (BrokenPipeError, ProcessLookupError):
            raise SpawnFailed(_last_words(process.pid, errors)) from None
        for stack in (reaping, ours):
            stack.pop_all()
        return child


def _pipe(reads: ExitStack, writes: ExitStack) -> tuple[int, int]:
    """Both ends, each to be closed by its stack."""
    ends = os.pipe2(os.O_CLOEXEC)
    for fd, stack in zip(ends, (reads, writes), strict=True):
        stack.callback(os.close, fd)
    return ends


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
    if isinstance(error, ValueError):  # Popen's; its text may have a piece of a value
        return "its command or environment holds a NUL"
    if isinstance(error, (FileNotFoundError, NotADirectoryError)) and not os.path.isdir(cwd):
        return f"its working directory {cwd} does not exist"
    if error.errno == errno.E2BIG:
        return "its command and environment are together more than the kernel hands to a program"
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.filename == str(cwd):
        return f"its working directory {cwd}: {reason}"
    return f"{error.filename}: {reason}" if error.filename else reason
