"""How a child is brought to its end: politely, then SIGTERM, then SIGKILL, and never less than the whole tree."""

import signal
import time

import structlog
import trio

from supervisor.core.blame import Why
from supervisor.pool import procfs
from supervisor.pool.cgroups import Cgroup
from supervisor.pool.child import Child
from supervisor.pool.tree import end_processes, members, signal_process

log = structlog.get_logger("stoker.pool")

TRY_AGAIN = 0.5  # seconds
POLITE = 1.0  # seconds an idle child has to go by itself once its stdin is closed
PATIENCE = 5.0  # seconds for SIGKILL to work
FIRST_LOOK, LAST_LOOK = 0.002, 0.1  # seconds between two looks at a tree that goes: at once at first, then calmly

# A look at all of /proc holds the interpreter's lock for most of its time: many at once are no faster, and the loop
# would have to fight each of them for it.
_looking = trio.CapacityLimiter(2)


async def end_tree(child: Child, why: Why, kill_grace: float) -> None:
    """Return when the child and its whole tree are gone: its cgroup where it has one, its group, its session and what
    carries its mark. The child itself is left to be reaped."""
    if why.polite:
        child.close_requests()
        with trio.move_on_after(min(POLITE, kill_grace)):
            await child.dead.wait()
    if why.graceful and await _asked_to_go(child, kill_grace):
        return
    child.signal(signal.SIGKILL)
    await child.dead.wait()
    left = await _end_the_rest(child)
    if left:
        log.error("worker_tree_survived", pid=child.pid, left=left)


async def _asked_to_go(child: Child, kill_grace: float) -> bool:
    """Whether the whole tree has gone within `kill_grace` of SIGTERM.

    The grace is the tree's, not the leader's: a wrapper (`sh -c`) dies of SIGTERM at once, while the program it
    wraps is cleaning up. What the signal to the group did not reach gets its own, once the leader has gone and had
    its chance to end its helpers as it sees fit; but not what they start from then on, which may be their cleaning up.
    """
    child.signal(signal.SIGTERM)
    with trio.move_on_after(kill_grace):
        await child.dead.wait()
        asked = False
        pause = FIRST_LOOK
        while (left := await _living(child, everywhere=not asked)) is not None:
            for one in left:
                if not asked and one.group != child.pid:
                    signal_process(one, signal.SIGTERM)
            asked = asked or left != []
            await trio.sleep(pause)
            pause = min(2 * pause, LAST_LOOK)
        return True
    return False


async def _living(child: Child, *, everywhere: bool) -> list[procfs.Stat] | None:
    """The tree without its dead leader, as far as it can be seen; None: nothing lives in it. While something is left in
    its cgroup, what has left that one is looked for only `everywhere`."""
    try:
        return await trio.to_thread.run_sync(_look, child, everywhere, limiter=_looking)
    except (OSError, RuntimeError):  # no descriptor or thread to be had: what cannot be asked to go will be killed
        return []


def _look(child: Child, everywhere: bool) -> list[procfs.Stat] | None:
    populated = child.cgroup is not None and child.cgroup.populated()
    found: dict[int, procfs.Stat] = {}
    if child.cgroup is not None and populated:
        stats = [procfs.stat(pid) for pid in child.cgroup.pids()]
        found = {one.pid: one for one in stats if one is not None}
    if everywhere or not populated:
        found |= {one.pid: one for one in members(child.pid, child.mark)}
    return list(found.values()) if found or populated else None


async def _end_the_rest(child: Child) -> list[int]:
    """Kill what is left and wait for it; the pids that do not die. Where that cannot even be tried (no thread or
    descriptor to be had, which a fork bomb may see to), it is tried again until it can: an attempt is not judged while
    its tree may live."""
    while True:
        try:
            inside = [] if child.cgroup is None else await _empty(child.cgroup)
            # Root's processes can leave their cgroup, and what logs somebody in (su) is moved to another.
            return sorted({*inside, *await _end_members(child)})
        except (OSError, RuntimeError) as error:
            log.warning("worker_tree_out_of_reach", pid=child.pid, error=str(error))
            child.signal(signal.SIGKILL)
            await trio.sleep(TRY_AGAIN)


async def _empty(cgroup: Cgroup) -> list[int]:
    deadline = trio.current_time() + PATIENCE
    await trio.to_thread.run_sync(cgroup.kill)  # it waits for whoever else changes any cgroup
    pause = FIRST_LOOK
    while cgroup.populated():
        if trio.current_time() > deadline:
            return cgroup.pids()
        await trio.sleep(pause)
        pause = min(2 * pause, LAST_LOOK)
    return []


async def _end_members(child: Child) -> list[int]:
    """As tree.end_session; but only the looking takes turns, so that nobody waits for another's processes to die."""
    deadline = time.monotonic() + PATIENCE
    while left := await trio.to_thread.run_sync(members, child.pid, child.mark, limiter=_looking):
        await trio.to_thread.run_sync(end_processes, left, deadline)
        if time.monotonic() >= deadline:
            break
    return [one.pid for one in left]
