"""The children on record, so that the next start can end what this daemon's death leaves behind.

A child dies with the daemon (PR_SET_PDEATHSIG, end of its stdin), but the child of a wrapper may not, and it would
still be working on a job when that job is given out again. So each session that is started is a name in a folder, made
before its leader is given work and removed when the whole tree is gone. All that matters is in the name: an empty
file can be made on a full disk.

A recorded number is only trusted with its start time and the boot it was seen in. Processes that left their session
are found by STOKER_INSTANCE in their environment.
"""

import contextlib
import os
import time
from pathlib import Path
from typing import NamedTuple

from supervisor.errors import StartError
from supervisor.pool import procfs
from supervisor.pool.tree import end_processes

PATIENCE = 10.0  # seconds for SIGKILL to work


class Session(NamedTuple):
    leader: int
    started: int  # of the leader, in ticks since boot
    boot: str
    instance: str


class Remains:
    """The record of one state directory. `instance` names it in the environment of its workers."""

    def __init__(self, folder: Path, instance: str) -> None:
        self.folder = folder
        self.instance = instance
        self._boot = procfs.boot_id()

    def remember(self, leader: int) -> str | None:
        """Record a session whose leader is a live child of ours. The name to `forget`; None if it has died already."""
        found = procfs.stat(leader)
        if found is None:
            return None
        name = f"{leader}.{found.started}.{self._boot}.{self.instance}"
        os.close(os.open(self.folder / name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        return name

    def forget(self, name: str) -> None:
        # One that stays does no harm: the next start finds nobody of that number and start time.
        with contextlib.suppress(OSError):
            os.unlink(self.folder / name)

    def end_previous(self) -> int:
        """End every process of earlier epochs; returns how many there were. Call before the first claim.

        Raises StartError if one survives SIGKILL: starting its job again beside it would break the promise that an
        attempt never overlaps its predecessor.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        names = os.listdir(self.folder)
        sessions = [session for name in names if (session := _parse(name)) is not None and self._is_ours(session)]
        ended: set[int] = set()
        deadline = time.monotonic() + PATIENCE
        while left := self._living(sessions):
            if time.monotonic() > deadline:
                pids = ", ".join(str(one.pid) for one in sorted(left))
                raise StartError(
                    f"workers of the previous run do not die (pids {pids}): end them by hand, then start again"
                )
            ended |= {one.pid for one in left}
            end_processes(left, deadline)
        for name in names:
            self.forget(name)
        return len(ended)

    def _is_ours(self, session: Session) -> bool:
        """Not of another boot, whose numbers mean nothing now, nor of the folder this one is a copy of, whose daemon
        may be at work."""
        return session.boot == self._boot and session.instance == self.instance

    def _living(self, sessions: list[Session]) -> list[procfs.Stat]:
        everybody = procfs.all_processes()
        by_pid = {one.pid: one for one in everybody}
        ours = set()
        for session in sessions:
            leader = by_pid.get(session.leader)
            if leader is None or leader.started == session.started:
                ours.add((session.leader, session.started))
        oldest = dict(ours)
        mark = f"STOKER_INSTANCE={self.instance}".encode()
        me = os.getpid()
        return [
            one
            for one in everybody
            if one.state not in "ZX"
            and one.pid != me
            and (
                (one.session in oldest and one.started >= oldest[one.session])
                or (one.session != 0 and procfs.has_environ(one.pid, mark))
            )
        ]


def _parse(name: str) -> Session | None:
    parts = name.split(".", 3)
    if len(parts) != 4 or not (parts[0].isdigit() and parts[1].isdigit()):
        return None
    return Session(int(parts[0]), int(parts[1]), parts[2], parts[3])
