"""What is done to a worker, from outside, before the first instruction of its program."""

import contextlib
import os
import resource
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from supervisor.config.model import PoolConfig
from supervisor.errors import StokerError
from supervisor.pool.cgroups import Cgroup

# As the daemon was given them; it raises its own for the sake of its connections.
_NOFILE = resource.getrlimit(resource.RLIMIT_NOFILE)


class NotSet(StokerError):
    """A setting that could not be applied: which one, and why."""

    code = "setting"


class _Setting(NamedTuple):
    """`hint`: why it may be refused."""

    words: str
    apply: Callable[[], object]
    hint: str = ""


def settle(config: PoolConfig, slot: int, pid: int, cgroup: Cgroup | None) -> None:
    """Do to the process what the pool asks of the worker in place `slot`. Raises NotSet, or ProcessLookupError when it
    has died."""
    with contextlib.suppress(OSError):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, _NOFILE)
    with contextlib.suppress(OSError):
        _unprotect(pid)
    for setting in _settings(config, slot, pid, cgroup):
        try:
            setting.apply()
        except ProcessLookupError:
            raise
        except (OSError, ValueError, OverflowError) as error:
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            raise NotSet(f"{setting.words}: {reason}{setting.hint}") from None


def _unprotect(pid: int) -> None:
    """A daemon may have been given a favour (OOMScoreAdjust=-500), so that the kernel, out of memory, takes a worker in
    its place; workers that kept it would be as safe. Anybody may raise the number; more than 0 is left as it is."""
    with open(f"/proc/{pid}/oom_score_adj", "r+") as file:
        if int(file.read()) < 0:
            file.seek(0)
            file.write("0")


def _settings(config: PoolConfig, slot: int, pid: int, cgroup: Cgroup | None) -> Iterator[_Setting]:
    if cgroup is not None:
        yield _Setting("it could not be put into its cgroup", partial(cgroup.attach, pid))
    for name, value in config.rlimits:
        yield _Setting(
            f"rlimits.{name} = {'unlimited' if value is None else value}",
            partial(_limit, pid, name, resource.RLIM_INFINITY if value is None else value),
            f" (only root may raise a hard limit{', and nobody may go above fs.nr_open' if name == 'nofile' else ''})",
        )
    if config.nice is not None:
        yield _Setting(
            f"nice = {config.nice}", partial(_renice, pid, config.nice), " (only root may go below the daemon's own)"
        )
    if config.cpu_affinity:
        number = slot % len(config.cpu_affinity)
        cpus = config.cpu_affinity[number]
        yield _Setting(
            f"cpu_affinity[{number}] = {','.join(map(str, sorted(cpus)))}",
            partial(os.sched_setaffinity, pid, cpus),
            " (none of them is a CPU that the daemon may use)",
        )


def _limit(pid: int, name: str, value: int) -> None:
    number = getattr(resource, f"RLIMIT_{name.upper()}")
    hard = value
    # At the hard limit the kernel kills with SIGKILL, which names no reason; at the soft one with SIGXCPU, which does.
    if number == resource.RLIMIT_CPU and value not in (resource.RLIM_INFINITY, resource.prlimit(pid, number)[1]):
        hard = value + 1
    resource.prlimit(pid, number, (value, hard))


def _renice(pid: int, value: int) -> None:
    os.setpriority(os.PRIO_PROCESS, pid, value)
    # Where the kernel groups processes by session (sched_autogroup), niceness counts only among those of one, and a
    # worker has one of its own: without this it would change nothing. Others than root may do it ten times a second.
    with contextlib.suppress(OSError), open(f"/proc/{pid}/autogroup", "w") as file:
        file.write(str(value))
