"""Starting one worker: everything between a pool's configuration and a running child."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from supervisor.config.model import PoolConfig
from supervisor.errors import StokerError
from supervisor.pool.cgroups import Cgroup
from supervisor.pool.child import Child
from supervisor.pool.tree import signal_group

MARK = "STOKER_WORKER"

# As the daemon was given them; it raises its own for the sake of its connections.
_NOFILE = resource.getrlimit(resource.RLIMIT_NOFILE)


class SpawnFailed(StokerError):
    """The program could not be started at all."""

    code = "spawn_failed"


def launch(
    config: PoolConfig, slot: int, *, instance: str, environ: Mapping[str, str], cgroup: Cgroup | None = None
) -> Child:
    """Start the worker of place `slot`, in `cgroup` before its first instruction. Raises SpawnFailed with the reason.

    `environ` is the daemon's own environment; `instance` and the slot make the mark that no other live worker has.
    """
    env = {
        **environ,
        **dict(config.env),
        "STOKER_PROTOCOL": "1",
        "STOKER_POOL": config.name,
        "STOKER_SLOT": str(slot),
        "STOKER_INSTANCE": instance,
    }
    return spawn(config.command, cwd=config.cwd, env=env, mark=f"{instance}/{config.name}/{slot}")


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
