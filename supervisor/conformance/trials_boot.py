"""Coming up: the first answer, whether it is flushed, the handshake, and how long a cold start takes."""

import time
from statistics import median

from supervisor.conformance.findings import Fault, NotTried, Outcome, Passed
from supervisor.conformance.session import SETTLE, Session
from supervisor.conformance.subject import AT_ONCE, BUFFERED

COLD_STARTS = 3
CLEAR = 0.1  # seconds


async def start(session: Session) -> Outcome:
    """It starts, and answers a job; whether the answer was flushed is another question."""
    secs = await _first_answer(session)
    if session.buffered:
        return Passed("it starts and answers, though not in time: see flush")
    return Passed(f"its first answer came {milliseconds(secs)} after its start", {"secs": secs})


async def flush(session: Session) -> Outcome:
    """Its reply comes while stdin stays open."""
    if session.buffered is None:
        await _first_answer(session)
    if session.buffered:
        secs, stdin = session.settings.timeout, session.settings.pipes[0]
        raise Fault(BUFFERED, f"it wrote nothing for {secs:g} s; then {stdin} was closed, and its reply came at once")
    return Passed(f"its replies come while {session.settings.pipes[0]} stays open")


async def _first_answer(session: Session) -> float:
    """Seconds from its start; and the session knows whether the answer sat in a buffer."""
    patience = session.settings.timeout
    while True:
        async with session.worker() as worker:
            answer = session.count(await worker.ask_first(session.first_payload(), patience))
            secs = time.monotonic() - worker.child.started
        # An answer that comes at once when stdin is closed was in a buffer, and one that comes much later was being
        # worked on. In between it is waited for longer than it took: now the one will be late again, the other not.
        if answer.late is None or not CLEAR <= answer.late < AT_ONCE or patience > session.settings.timeout:
            session.buffered = answer.late is not None and answer.late < AT_ONCE
            return secs
        patience = answer.secs + session.settings.timeout


async def handshake(session: Session) -> Outcome:
    """With `ready`, the line comes in time and nothing before it; otherwise whether it comes is of interest."""
    if session.settings.ready:
        async with session.worker(ready=False) as worker:
            secs = await worker.get_ready()
            await worker.listen(SETTLE)
            return Passed(f"it said that it is ready {milliseconds(secs)} after its start", {"secs": secs})
    if session.said_ready is None:
        async with session.worker() as worker:
            session.count(await worker.ask(session.first_payload()))
    if session.said_ready is None:
        return NotTried("it does not say when it is ready, which only a pool with ready = true asks for")
    return Passed(
        "it says when it is ready: set ready = true in its pool, and try it with --ready", {"secs": session.said_ready}
    )


async def boot(session: Session) -> Outcome:
    """What a cold start costs: what warm workers save."""
    took = []
    for _ in range(COLD_STARTS):
        async with session.worker() as worker:
            session.count(await worker.ask(session.first_payload()))
            took.append(time.monotonic() - worker.child.started)
    secs = median(took)
    found = f"a cold start takes {milliseconds(secs)} to the first answer (the middle of {COLD_STARTS})"
    if session.warm_secs:
        found += f"; warm, a job takes {milliseconds(session.warm_secs)}: {secs / session.warm_secs:,.0f} times less"
    return Passed(found, {"secs": secs})


def milliseconds(secs: float) -> str:
    """As people read it."""
    if secs >= 10:
        return f"{secs:.1f} s"
    if secs >= 1:
        return f"{secs:.2f} s"
    if secs >= 0.001:
        return f"{secs * 1000:.3g} ms"
    return f"{secs * 1_000_000:.3g} µs"
