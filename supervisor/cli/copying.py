"""What backup and restore have in common: how far it is, and what came of it, in words."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from supervisor.cli.failures import Failed

EVERY = 0.1  # seconds
_UNITS = ("KiB", "MiB", "GiB", "TiB")


class Progress:
    """One line on a terminal's stderr, gone at the end; elsewhere nothing."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._next = 0.0
        self._length = 0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def clear(self) -> None:
        """Before anything else is written."""
        if self._length:
            self._write("")

    def show(self, what: str, done: int, of: int | None) -> None:
        """`of`: None where nobody knows how much it will be."""
        now = time.monotonic()
        if self._shown and now >= self._next:
            self._next = now + EVERY
            whole = "" if of is None else f" of {size(max(done, of))} ({100 * done // max(done, of, 1)}%)"
            self._write(f"{what} {size(done)}{whole}")

    def _write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(f"\r{text:{self._length}}\r")
            sys.stderr.flush()
        self._length = len(text)


def size(count: int) -> str:
    """For eyes: 231.6 MiB."""
    amount, unit = count / 1024, _UNITS[0]
    for larger in _UNITS[1:]:
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.1f} {unit}"


def count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def summary(name: str, found: dict[str, Any]) -> str:
    """Of a copy that was taken."""
    whence = "" if found["daemon"] else ", of a store without a daemon"
    return (
        f"{name}: {count(found['jobs'], 'job')}, {size(found['bytes'])}, in {found['seconds']:.1f} s, "
        f"store version {found['schema']}{whence}"
    )


@contextmanager
def as_sentences() -> Iterator[None]:
    """The errors of stoker's own side."""
    from supervisor.errors import StokerError

    try:
        yield
    except StokerError as error:
        raise Failed(error.message) from None
    except OSError as error:
        raise Failed(f"{error.filename or 'the copy'}: {error.strerror}") from None
