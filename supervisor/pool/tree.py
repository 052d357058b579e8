"""Ending a worker's whole tree where it has no cgroup: its process group, whatever else lives in its session, and what
has left both but carries the worker's mark in its environment.

The leader is a child of ours and is reaped last: while it is a zombie its number cannot be given to anybody else, so
the group and the session it names are still the ones it made.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable

from supervisor.pool import procfs


def signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def members(session: int, mark: bytes | None = None) -> list[procfs.Stat]:
    """Live processes of a worker's tree, its leader excepted: those in its session, and with a `mark` (NAME=VALUE)
    also those that were started later than the leader and have it in their environment."""
    leader = procfs.stat(session)
    since = leader.started if leader is not None else 0
    return [
        one
        for one in procfs.all_processes()
        if one.pid != session
        and one.state not in "ZX"
        and (
            one.session == session
            or (mark is not None and one.session != 0 and one.started >= since and procfs.has_environ(one.pid, mark))
        )
    ]


def end_session(session: int, mark: bytes | None = None, *, patience: float = 5.0) -> list[int]:
    """SIGKILL the whole tree but its leader and wait until it is gone; blocks, so call it in a thread.

    Looks again until nothing is left, since what is being killed may fork. Returns the pids that are still there
    after `patience` seconds: processes in an uninterruptible sleep.
    """
    deadline = time.monotonic() + patience
    while left := members(session, mark):
        end_processes(left, deadline)
        if time.monotonic() >= deadline:
            break
    return [one.pid for one in left]


def end_processes(victims: Iterable[procfs.Stat], deadline: float) -> None:
    """SIGKILL, then wait for each until `deadline` (monotonic)."""
    dying = []
    for victim in victims:
        pidfd = _hold(victim)
        if pidfd is not None:
            _send(pidfd, signal.SIGKILL)
            dying.append(pidfd)
    for pidfd in dying:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        os.close(pidfd)


def signal_process(process: procfs.Stat, number: signal.Signals) -> None:
    """To that very process, if it lives."""
    pidfd = _hold(process)
    if pidfd is not None:
        _send(pidfd, number)
        os.close(pidfd)


def _send(pidfd: int, number: signal.Signals) -> None:
    with contextlib.suppress(OSError):
        signal.pidfd_send_signal(pidfd, number)


def _hold(process: procfs.Stat) -> int | None:
    """A pidfd of that very process; None if it is gone, be its number another's by now."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except OSError:
        return None
    found = procfs.stat(process.pid)
    if found is None or found.started != process.started:
        os.close(pidfd)
        return None
    return pidfd
