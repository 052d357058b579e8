"""Who is to blame for a child's end: what the attempt it had in hand comes to."""

from enum import Enum

import msgspec

from supervisor.core.job import Cause, JobError
from supervisor.core.verdict import End, Verdict


class Why(Enum):
    """Why a child's life is over."""

    EXITED = "exited"
    CLOSED = "closed"  # its stdout, while it lives on
    DEAF = "deaf"  # it closed its stdin, while it lives on
    GARBAGE = "garbage"
    DESYNC = "desync"
    OVERSIZE = "oversize"
    EXTRA = "extra"  # it spoke when it was not its turn
    TIMEOUT = "timeout"
    CANCEL = "cancel"
    RELEASE = "release"  # the daemon stops and cannot wait for it
    RECYCLE = "recycle"  # a planned replacement
    STOP = "stop"  # it has no job, and its place is given up
    NOT_READY = "not_ready"  # it did not say that it is ready in time
    OOM = "oom"  # it used more memory than it may

    @property
    def polite(self) -> bool:
        """Ended by closing its stdin first."""
        return self in (Why.RECYCLE, Why.STOP)

    @property
    def graceful(self) -> bool:
        """Given `kill_grace` between SIGTERM and SIGKILL. A child that broke the protocol is not: nothing that it
        could still say would be believed."""
        return self.on_request or self is Why.NOT_READY

    @property
    def on_request(self) -> bool:
        """Not the child's own fault: this life says nothing against its program."""
        return self in (Why.RECYCLE, Why.STOP, Why.TIMEOUT, Why.CANCEL, Why.RELEASE)

    @property
    def by_itself(self) -> bool:
        """Nobody here ended it."""
        return self in (Why.EXITED, Why.CLOSED, Why.DEAF)

    @property
    def perhaps_exiting(self) -> bool:
        """A process that exits closes its pipes a moment before it can be waited for: this may be the beginning."""
        return self in (Why.CLOSED, Why.DEAF)


class Ending(msgspec.Struct, frozen=True):
    """`text`: for a broken protocol or a limit, what was seen; for a timeout, the time it had."""

    why: Why
    text: str = ""


class Exit(msgspec.Struct, frozen=True):
    """How the process left, in words ("exited with code 1", "was killed by SIGSEGV") and numbers."""

    words: str
    code: int | None = None
    signal: str | None = None


_BROKEN = {
    Why.GARBAGE: Cause.GARBAGE,
    Why.DESYNC: Cause.DESYNC,
    Why.OVERSIZE: Cause.OVERSIZE,
    Why.EXTRA: Cause.GARBAGE,
    Why.TIMEOUT: Cause.TIMEOUT,
    Why.OOM: Cause.OOM,
}


def blame(ending: Ending, exit: Exit, *, unread: bool, late: bool, stderr: str | None, begun: bool = True) -> Verdict:
    """The verdict on the attempt a child had in hand when its life ended.

    `unread`: not one byte of the request had left the pipe, so the child cannot have worked on it. `late`: what broke
    the protocol belonged to the job before. Neither costs the job anything. `begun`: by the time the tree was gone it
    had read of the request, which it still can after its life was over for us.
    """
    match ending.why:
        case Why.CANCEL:
            return Verdict(End.CANCELLED)
        case Why.RELEASE | Why.STOP | Why.RECYCLE | Why.NOT_READY:
            return Verdict(End.RELEASED, cut="the daemon was stopped" if begun else None)
        case Why.TIMEOUT:
            return _failed(Cause.TIMEOUT, f"no reply within {ending.text}", None, stderr)
    if unread or late:
        return Verdict(End.RELEASED, cut="the worker was ended for breaking the protocol" if begun else None)
    match ending.why:
        case Why.EXITED:
            return _failed(Cause.EXITED, f"{_what(ending, exit)} before it replied", exit, stderr)
        case Why.CLOSED | Why.DEAF:
            return _failed(Cause.EXITED, f"{_what(ending, exit)} before it replied", None, stderr)
    return _failed(_BROKEN[ending.why], ending.text, None, stderr)


def failed_life(ending: Ending, exit: Exit, *, ready: bool) -> str:
    """Why a life that answered nothing speaks against its program, in a clause that can stand alone. `ready`: it had
    come so far that it could be given work."""
    what = _what(ending, exit)
    if ending.why.by_itself:
        return f"{what} before it {'worked on a job' if ready else 'was ready'}"
    return what


def _what(ending: Ending, exit: Exit) -> str:
    match ending.why:
        case Why.EXITED:
            return f"the worker {exit.words}"
        case Why.CLOSED:
            return f"the worker closed its {ending.text or 'stdout'}"
        case Why.DEAF:
            return f"the worker closed its {ending.text or 'stdin'}"
        case Why.NOT_READY:
            return f"the worker was not ready within boot_timeout = {ending.text}"
    return ending.text


def _failed(cause: Cause, message: str, exit: Exit | None, stderr: str | None) -> Verdict:
    # An exit status is blame only where the child left by itself; otherwise it would be that of our own SIGKILL.
    code, signal = (exit.code, exit.signal) if exit is not None else (None, None)
    error = JobError(cause=cause, message=message, exit_code=code, signal=signal, stderr=stderr)
    return Verdict(End.FAILED, error=error)
