"""Ending a worker's whole tree: its process group and whatever else lives in its session.

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


def members(session: int) -> list[procfs.Stat]:
    """Live processes of a session, its leader excepted."""
    return [
        one
        for one in procfs.all_processes()
        if one.session == session and one.pid != session and one.state not in "ZX"
    ]


def end_session(session: int, *, patience: float = 5.0) -> list[int]:
    """SIGKILL everything in the session but its leader and wait until it is gone; blocks, so call it in a thread.

    Looks again until nothing is left, since what is being killed may fork. Returns the pids that are still there
    after `patience` seconds: processes in an uninterruptible sleep.
    """
    deadline = time.monotonic() + patience
    while left := members(session):
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
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            dying.append(pidfd)
    for pidfd in dying:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        os.close(pidfd)


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
