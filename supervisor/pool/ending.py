"""How a child is brought to its end: politely, then SIGTERM, then SIGKILL, and never less than the whole tree."""

import signal

import structlog
import trio

from supervisor.core.blame import Why
from supervisor.pool.child import Child
from supervisor.pool.tree import end_session

log = structlog.get_logger("stoker.pool")

TRY_AGAIN = 0.5  # seconds
POLITE = 1.0  # seconds an idle child has to go by itself once its stdin is closed


async def end_tree(child: Child, why: Why, kill_grace: float) -> None:
    """Return when the child, its group and its session are gone; the child itself is left to be reaped."""
    if why.polite:
        child.close_requests()
        if await _gone(child, min(POLITE, kill_grace)):
            why = Why.EXITED
    if why.graceful:
        child.signal(signal.SIGTERM)
        await _gone(child, kill_grace)
    child.signal(signal.SIGKILL)
    await child.dead.wait()
    left = await _end_the_rest(child)
    if left:
        log.error("worker_tree_survived", pid=child.pid, left=left)


async def _end_the_rest(child: Child) -> list[int]:
    """As end_session, in a thread. Where that cannot even be tried (no thread or descriptor to be had, which a fork
    bomb may see to), it is tried again until it can: an attempt is not judged while its tree may live."""
    while True:
        try:
            return await trio.to_thread.run_sync(end_session, child.pid, child.mark)
        except (OSError, RuntimeError) as error:
            log.warning("worker_tree_out_of_reach", pid=child.pid, error=str(error))
            child.signal(signal.SIGKILL)
            await trio.sleep(TRY_AGAIN)


async def _gone(child: Child, seconds: float) -> bool:
    with trio.move_on_after(seconds):
        await child.dead.wait()
        return True
    return False
