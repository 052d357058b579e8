"""apsw's exceptions in stoker's words; nothing else lets one of them out."""

import apsw

from supervisor.errors import StartError, StokerError, StoreUnavailable

_REASONS: tuple[tuple[type[apsw.Error], str], ...] = (
    (apsw.FullError, "the disk is full; free some space"),
    (apsw.BusyError, "another program holds a lock on it; end that program (a sqlite3 shell, a backup)"),
    (apsw.LockedError, "another program holds a lock on it; end that program (a sqlite3 shell, a backup)"),
    (apsw.ReadOnlyError, "it cannot be written; look at its permissions and at how its file system is mounted"),
    (apsw.CantOpenError, "it cannot be opened; look at the folder's permissions and at the limit on open files"),
    (apsw.PermissionsError, "permission denied; look at the owner and mode of it and of its folder"),
    (apsw.CorruptError, "it is damaged; stop stoker, and restore a backup or repair it with `sqlite3 FILE .recover`"),
    (apsw.NotADBError, "it is not a SQLite database; move it away, or restore a backup"),
    (apsw.IOError, "the disk reported an error; look at the kernel's log"),
    (apsw.NoMemError, "no memory is left; free some, or raise the service's memory limit"),
    (apsw.InterruptError, "the read took too long; ask for less"),
)

_FULL = _REASONS[0][1]
_PASSING = (apsw.FullError, apsw.BusyError, apsw.LockedError, apsw.IOError, apsw.NoMemError)


def _reason(error: apsw.Error) -> str | None:
    if _extended(error) == apsw.SQLITE_IOERR_SHMSIZE:  # the log's index did not find its 32 KiB
        return f"{_FULL} ({_code(error)})"
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return f"{reason} ({_code(error)})"
    return None


def _extended(error: apsw.Error) -> int:
    """0 where SQLite itself has not reported it."""
    return int(getattr(error, "extendedresult", 0))


def _code(error: apsw.Error) -> str:
    """SQLite's own name of it, as a search engine knows it."""
    extended = _extended(error)
    names = {**apsw.mapping_result_codes, **apsw.mapping_extended_result_codes}
    return str(names[extended]) if extended in names and extended else str(error)


def translate(error: apsw.Error, path: str) -> StokerError:
    """What the verbs raise for `error`: StoreUnavailable for what a later try may cure, else a bug's own error."""
    reason = _reason(error)
    if reason is None:
        return StokerError(f"SQLite refused a statement on {path}, which is a bug in stoker: {error}")
    return StoreUnavailable(f"the store {path} cannot be used: {reason}")


def cannot_start(error: apsw.Error, path: str) -> StokerError:
    """What `open` raises for `error`: StoreUnavailable where a later try may do, StartError where it will not."""
    kind = StoreUnavailable if isinstance(error, _PASSING) else StartError
    return kind(f"cannot open the store {path}: {_reason(error) or error}")
