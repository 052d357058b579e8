"""Manners: silence when it is not asked, and going when it is asked to."""

import signal
import time

import trio

from supervisor.conformance import household
from supervisor.conformance.findings import Fault, NotTried, Outcome, Passed, Warned
from supervisor.conformance.hearing import STEP
from supervisor.conformance.session import Session
from supervisor.conformance.subject import AT_ONCE, Subject
from supervisor.conformance.trials_boot import milliseconds
from supervisor.pool.ending import POLITE

QUIET = 0.4  # seconds of looking at an idle worker
A_FEW = 5  # jobs
NAMED = 3  # processes


async def silence(session: Session) -> Outcome:
    """Nothing is said before the first request but that it is ready, and nothing between jobs or after them."""
    async with session.worker() as worker:
        await worker.listen(QUIET)
        for _ in range(A_FEW):
            session.count(await worker.ask(session.first_payload()))
            if worker.retires:
                return Passed("it said nothing before its first job, and asks to be replaced after it")
            await worker.listen(QUIET / A_FEW)
        await worker.listen(QUIET)
    return Passed(f"it said nothing in {3 * QUIET:.3g} s without a job")


async def eof(session: Session) -> Outcome:
    """It goes when its stdin ends: after a job, and where there never was one."""
    async with session.worker() as worker:
        session.count(await worker.ask(session.first_payload()))
        secs, ended = await _hang_up(worker, session.settings.kill_grace)
    if ended is not None:
        return ended
    async with session.worker() as worker:
        patience = session.settings.boot_timeout + session.settings.kill_grace
        _, ended = await _hang_up(worker, patience, "before its first job, ", prompt=patience)
    return ended or Passed(f"it exited with code 0 {milliseconds(secs)} after {worker.stdin} ended")


async def eof_busy(session: Session) -> Outcome:
    """A request and the end of stdin right behind it: the job is done first."""
    async with session.worker() as worker:
        began = time.monotonic()
        until = await worker.start_job(min(session.known_payloads(), key=len))
        if worker.wire.unwritten:
            return NotTried("none of its payloads fits into the pipe at once")
        worker.wire.hang_up()
        try:
            answer = await worker.finish_job(until)
        except Fault as fault:
            if fault.kind != "exited":
                raise
            did = f"it had a job when its {worker.stdin} ended, and {worker.wire.exit_words()} without a reply"
            raise Fault("eof_lost", did) from None
        if answer is None:
            within = f"within {until - began:.3g} s (--boot-timeout and --timeout)"
            raise Fault("timeout", f"it had a job when its {worker.stdin} ended, and did not reply {within}")
        session.count(answer)
    return Passed(f"a job that it has when {worker.stdin} ends is answered")


async def sigterm(session: Session) -> Outcome:
    """SIGTERM ends it, idle and at work."""
    words = []
    for when in ("idle", "at work"):
        async with session.worker() as worker:
            session.count(await worker.ask(session.first_payload()))
            if worker.retires:
                return NotTried("it asks to be replaced after its first job")
            if when == "at work":
                await worker.start_job(session.first_payload())
            began = time.monotonic()
            worker.child.signal(signal.SIGTERM)
            if not await worker.wire.gone(session.settings.kill_grace):
                grace = f"{session.settings.kill_grace:g} s"
                return Warned("term_ignored", f"{when}, it outlived SIGTERM by kill_grace = {grace}, and needs SIGKILL")
            words.append(f"{when} it {worker.wire.exit_words()} after {milliseconds(time.monotonic() - began)}")
    return Passed(", ".join(words))


async def leftovers(session: Session) -> Outcome:
    """When it has gone by itself, so have the processes that it started."""
    async with session.worker() as worker:
        for _ in range(A_FEW):
            session.count(await worker.ask(session.first_payload()))
            if worker.retires:
                break
        if not await worker.leave():
            return NotTried(f"it does not exit when {worker.stdin} ends: see eof")
        left = await _others_after(session, worker, AT_ONCE)
    if not left:
        if session.adopted.works:
            return Passed("no process was left when it had gone")
        return Passed("no process was seen when it had gone; one without session and environment would not be")
    names = ", ".join(f"{command or 'a process'} ({pid})" for pid, command in sorted(left.items())[:NAMED])
    names += ", …" if len(left) > NAMED else ""
    raise Fault("left_behind", f"{len(left)} of its processes lived on after it had gone: {names}")


async def _others_after(session: Session, worker: Subject, seconds: float) -> dict[int, str]:
    """The processes it has left, once there are none or so much time has passed: nobody tells when they go."""
    until = time.monotonic() + seconds
    while (left := household.others(worker.child, session.adopted)) and time.monotonic() < until:  # noqa: ASYNC110
        await trio.sleep(STEP)
    return left


async def _hang_up(
    worker: Subject, patience: float, when: str = "", *, prompt: float = POLITE
) -> tuple[float, Outcome | None]:
    """Close its stdin; the seconds it took to go, and what there is to say against the way it went. Raises Fault."""
    began = time.monotonic()
    worker.wire.hang_up()
    gone = await worker.wire.gone(patience)
    secs = time.monotonic() - began
    if not gone:
        raise Fault("eof_ignored", f"{when}it was still there {secs:.3g} s after its {worker.stdin} had ended")
    if worker.wire.exit_code() != 0:
        return secs, Warned("exit_code", f"{when}it {worker.wire.exit_words()} when its {worker.stdin} ended")
    if secs > prompt:
        did = f"{when}it took {secs:.3g} s to exit when its {worker.stdin} ended"
        return secs, Warned("slow_exit", f"{did}; it gets SIGTERM after {prompt:g} s")
    return secs, None
