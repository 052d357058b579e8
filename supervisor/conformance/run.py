"""Trying all of it: one trial after the other, and no process left of any, Ctrl-C or not."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import structlog
import trio

from supervisor.conformance.adopted import Adopted
from supervisor.conformance.catalogue import TRIALS, Trial
from supervisor.conformance.causes import usual_cause, wanted
from supervisor.conformance.findings import NOT_TRIED, Fault, NotTried, Outcome, Passed, Result, Warned
from supervisor.conformance.session import Session
from supervisor.conformance.settings import Settings
from supervisor.errors import StokerError
from supervisor.pool.launch import SpawnFailed

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Tell = Callable[[Result], None]
Begin = Callable[[str], None]


class CannotStart(StokerError):
    """There is no such program, or it cannot be run at all."""

    code = "cannot_start"


class Interrupted(StokerError):
    """A signal came; `number` is which. Every process is gone, as far as `remains` says nothing else."""

    code = "interrupted"

    def __init__(self, number: int, remains: str | None) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number
        self.remains = remains


def run(settings: Settings, tell: Tell, begin: Begin) -> Session:
    """Try everything that `settings` chooses; `begin` is called with a trial's name, `tell` with its result. Call it
    on the main thread. Raises CannotStart and Interrupted."""
    with _log_on_stderr(), _Signals() as signals, Adopted() as adopted:
        session = trio.run(_run, Session(settings, adopted), tell, begin, signals)
    if session is None:
        assert signals.caught is not None
        raise Interrupted(signals.caught, adopted.remains())
    return session


def chosen(settings: Settings) -> list[Trial]:
    """In the order in which they are tried: where the handshake is asked for, nothing works without it."""
    trials = [
        trial
        for trial in TRIALS
        if trial.name not in settings.skip and (not settings.only or trial.name in settings.only)
    ]
    if settings.ready:
        trials = [trial._replace(first=True) if trial.name == "handshake" else trial for trial in trials]
        trials.sort(key=lambda trial: trial.name != "handshake")
    return trials


async def _run(session: Session, tell: Tell, begin: Begin, signals: "_Signals") -> Session | None:
    """None: a signal came in between."""
    with signals.cancelling():
        broken: str | None = None
        for trial in chosen(session.settings):
            begin(trial.name)
            if broken is not None:
                tell(Result(trial=trial.name, level="skip", found=f"{NOT_TRIED}{broken} failed"))
                continue
            result = await _try(trial, session)
            tell(result)
            if result.level == "fail" and trial.first:
                broken = trial.name
        return session
    return None


async def _try(trial: Trial, session: Session) -> Result:
    began = time.monotonic()
    session.stderr = None
    outcome: Outcome | Fault
    try:
        outcome = await trial.run(session)
    except Fault as fault:
        outcome = fault
    except SpawnFailed as error:
        if session.lives == 1:
            raise CannotStart(error.message) from None
        outcome = Fault("spawn", error.message)
    secs = round(time.monotonic() - began, 3)
    match outcome:
        case Passed():
            return Result(trial=trial.name, level="ok", found=outcome.found, figures=outcome.figures, secs=secs)
        case NotTried():
            return Result(trial=trial.name, level="skip", found=outcome.reason, secs=secs)
    pipes = session.settings.pipes
    cause = usual_cause(trial.name, outcome.kind, session.language, pipes)
    if isinstance(outcome, Fault):
        cause = _as_in_plain(outcome, session, trial) or cause
    return Result(
        trial=trial.name,
        level="warn" if isinstance(outcome, Warned) else "fail",
        kind=outcome.kind,
        found=outcome.found if isinstance(outcome, Warned) else outcome.message,
        wants=wanted(trial.name, outcome.kind, trial.wants, pipes),
        cause=cause,
        stderr=session.stderr,
        figures=outcome.figures,
        secs=secs,
    )


def _as_in_plain(fault: Fault, session: Session, trial: Trial) -> str | None:
    """Where it does wrong what it did in `plain`, that explains it: not what it is given in this trial."""
    if trial.name == "plain":
        session.plain_fault = fault
        return None
    plain = session.plain_fault
    if plain is None or _manner(fault) != _manner(plain):
        return None
    return "as in plain, where it is given nothing special: mend that first"


def _manner(fault: Fault) -> tuple[str, str]:
    """How it went wrong. Of a death, when exactly it is noticed is chance: "it exited with code 1" is what counts."""
    return fault.kind, " ".join(fault.did.split()[:5]) if fault.kind == "exited" else fault.did


class _Signals:
    """While this is entered, a signal that would end us cancels what runs instead, so that it can tidy up. What is
    ignored (nohup, a shell's background job) stays so."""

    def __init__(self) -> None:
        self.caught: int | None = None
        self._before: dict[int, object] = {}
        self._stop: Callable[[], None] | None = None

    def __enter__(self) -> "_Signals":
        for number in STOP_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._catch)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextmanager
    def cancelling(self) -> Iterator[None]:
        token = trio.lowlevel.current_trio_token()
        with trio.CancelScope() as scope:
            self._stop = lambda: token.run_sync_soon(scope.cancel, idempotent=True)
            if self.caught is not None:
                scope.cancel()
            yield

    def _catch(self, number: int, _: FrameType | None) -> None:
        if self.caught is None:
            self.caught = number
        if self._stop is not None:
            self._stop()


@contextmanager
def _log_on_stderr() -> Iterator[None]:
    """The few things that the pool logs do not belong into the report."""
    before = structlog.get_config()
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    try:
        yield
    finally:
        structlog.configure(**before)
