"""Every error stoker raises on purpose. Foreign exceptions are translated where they enter, never passed on.

A message is one sentence a stranger understands: what happened, where, what to do.
"""

from typing import ClassVar


class StokerError(Exception):
    """The root. `code` is a stable word that programs may test; the message is for people and may change."""

    code: ClassVar[str] = "internal"

    @property
    def message(self) -> str:
        return str(self.args[0]) if self.args else self.code


class Refused(StokerError):
    """A request that is answered with a reason. `data` goes into the answer beside `code`."""

    def __init__(self, message: str, **data: object) -> None:
        super().__init__(message)
        self.data = data


class Invalid(Refused):
    code = "invalid"


class NotFound(Refused):
    code = "not_found"


class UnknownQueue(Refused):
    code = "unknown_queue"


class TooLarge(Refused):
    code = "too_large"


class QueueFull(Refused):
    """`data` has the `queue`, how many jobs are `pending` in it, its `limit`, and `retry_after_secs` where waiting
    helps."""

    code = "queue_full"


class Conflict(Refused):
    code = "conflict"


class Forbidden(Refused):
    code = "forbidden"


class RestartFailed(Refused):
    """A rolling restart was given up: the old workers go on. `data` has how many were replaced before."""

    code = "restart_failed"


class ReloadFailed(Refused):
    """A new configuration was not taken on: `data.changed` says whether anything of it is in force all the same."""

    code = "reload_failed"


class Gone(Refused):
    """A place in the journal that it does not reach back to. `data` has the number of the oldest event kept."""

    code = "gone"


class TimedOut(Refused):
    code = "timeout"


class StoreUnavailable(Refused):
    """The store cannot commit now (full disk, I/O error, lock). Nothing changed; the same call may succeed later."""

    code = "store_unavailable"


class StartError(StokerError):
    """The daemon cannot start, and starting again unchanged will not help."""

    code = "start"


class ConfigError(StartError):
    """A configuration with problems: all of them, each `(key path, what is wrong and what was expected)`."""

    code = "config"

    def __init__(self, source: str, problems: list[tuple[str, str]]) -> None:
        self.source = source
        self.problems = problems
        lines = [f"{source}: {path}: {text}" if path else f"{source}: {text}" for path, text in problems]
        super().__init__("\n".join(lines))


class Unsound(StokerError):
    """A file that is not a whole store, or not one that this version can use."""

    code = "unsound"


class IllegalTransition(StokerError):
    """A bug in stoker: a job was asked to do what its state does not allow."""

    code = "illegal_transition"
