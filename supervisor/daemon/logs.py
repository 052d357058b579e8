"""Logging, set up once: events with fields, as entries of systemd's journal where stderr is that, on a terminal as text
for eyes, and elsewhere as JSON lines.

Everywhere else: `log = structlog.get_logger()`, then `log.info("worker_started", pool=…)`. The names of all events,
with what they mean, are in supervisor.log_names.
"""

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO

import structlog
from structlog.typing import EventDict, Processor

from supervisor.config.places import JOURNAL_SOCKET
from supervisor.core.entry import entry
from supervisor.daemon.journal_limit import own_rate_limit
from supervisor.daemon.journald import Journal, is_journal
from supervisor.errors import StartError

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class _Logger(structlog.make_filtering_bound_logger(logging.NOTSET)):  # type: ignore[misc]  # a class made at run time
    """What every logger is; `set_level` gives all of them other methods."""


def set_level(level: str) -> None:
    """From now on, for the loggers that are in use too."""
    leveled = structlog.make_filtering_bound_logger(_LEVELS[level])
    for name, method in vars(leveled).items():
        if not name.startswith("__"):
            setattr(_Logger, name, method)


class Closable(Protocol):
    def close(self) -> None: ...


def configure(level: str, format: str, stream: TextIO, *, socket: str = JOURNAL_SOCKET) -> Closable:
    """`level` and `format` as in the configuration, `socket` journald's. A level that is off costs one call of an empty
    function. Returns what is to be closed after the last event. Raises StartError where the journal is wanted and none
    is there.

    Call it before the first event: loggers keep the configuration they first see.
    """
    set_level(level)
    on_terminal = stream.isatty()
    console = format == "console" or (format == "auto" and on_terminal)
    journal = _journal(socket, format, stream)
    sink = journal or Sink(stream)
    colors = on_terminal and "NO_COLOR" not in os.environ
    structlog.configure(
        processors=_entries() if journal else _console(colors) if console else _json(),
        wrapper_class=_Logger,
        logger_factory=lambda *_: sink,
        cache_logger_on_first_use=True,
    )
    accepting = logging.getLogger("trio.serve_listeners")
    accepting.handlers = [_Accepting()]
    accepting.propagate = False
    return sink


def _journal(socket: str, format: str, stream: TextIO) -> Journal | None:
    try:
        if format == "journal" or (format == "auto" and is_journal(os.environ, stream.fileno())):
            return Journal(socket, own_rate_limit())
    except (OSError, ValueError) as error:  # also of a stream that has no descriptor
        if format == "journal":
            raise StartError(
                f'daemon.log_format is "journal", and {socket} cannot be reached: '
                f'{getattr(error, "strerror", None) or error}; start journald, or choose "auto"'
            ) from None
    return None


class _Accepting(logging.Handler):
    """What trio says, ten times a second and with a traceback, while no connection can be accepted: once every ten
    seconds, as an event."""

    EVERY = 10.0  # seconds

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._said = -self.EVERY

    def emit(self, record: logging.LogRecord) -> None:
        if record.created - self._said >= self.EVERY:
            self._said = record.created
            error = record.exc_info[1] if record.exc_info else None
            log = structlog.get_logger("stoker.control")
            log.error("accept_failed", error=str(error or record.getMessage()))


class Sink:
    """Writes lines, one call each, and never raises: a full disk behind stderr must not take the daemon down."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: closed, or text its encoding cannot hold
            return

    debug = info = warning = error = critical = write

    def close(self) -> None:
        """Nothing is held back."""


def _entries() -> list[Processor]:
    return [structlog.processors.format_exc_info, _entry]


def _entry(_logger: object, level: str, event: EventDict) -> bytes:
    return entry(event, level)


def _json() -> list[Processor]:
    return [_head, structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]


def _console(colors: bool) -> list[Processor]:
    # Plain tracebacks: rich ones print local variables, and with them payloads.
    plain: Callable[..., Any] = structlog.dev.plain_traceback
    return [_head, _printable, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]


def _head(_logger: object, level: str, event: EventDict) -> EventDict:
    """Time, level and name first, where an eye looks for them; the time in RFC 3339, UTC, milliseconds."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"timestamp": now, "level": level, "event": event.pop("event"), **event}


def _printable(_logger: object, _level: str, event: EventDict) -> EventDict:
    """Control characters in what workers and clients say are shown, not sent to the terminal."""
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[name] = _Quoted(value)
    return event


class _Quoted:
    """A text that the renderer always quotes: it does so to objects, but only to some strings."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return repr(self._text)
