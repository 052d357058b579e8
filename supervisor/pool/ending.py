"""How a child is brought to its end: politely, then SIGTERM, then SIGKILL, and never less than the whole tree."""

import signal

import structlog
import trio

from supervisor.core.blame import Why
from supervisor.pool.child import Child
from supervisor.pool.tree import end_session

log = structlog.get_logger("stoker.pool")

POLITE = 1.0  # seconds an idle child has to go by itself once its stdin is closed


async def end_tree(child: Child, why: Why, kill_grace: float) -> None:
    """Return when the child, its group and its session are gone; the child itself is left to be reaped."""
    if why.polite:
        child.close_stdin()
        if await _gone(child, min(POLITE, kill_grace)):
            why = Why.EXITED
    if why.graceful:
        child.signal(signal.SIGTERM)
        await _gone(child, kill_grace)
    child.signal(signal.SIGKILL)
    await child.dead.wait()
    left = await trio.to_thread.run_sync(end_session, child.pid, child.mark)
    if left:
        log.error("worker_tree_survived", pid=child.pid, left=left)


async def _gone(child: Child, seconds: float) -> bool:
    with trio.move_on_after(seconds):
        await child.dead.wait()
        return True
    return False
