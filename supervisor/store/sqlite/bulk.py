"""One statement for many rows.

The store's thread shares the interpreter's lock with a busy event loop, and has to win it back after every statement:
a statement per row would cost a switch interval per row. So rows travel as one multi-row VALUES. The statements come
in a few sizes, so that each is prepared once and stays in apsw's cache; what is missing to the size is bound as NULL,
and a NULL in the first column means "no row".
"""

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache

import apsw

Value = int | float | str | bytes | None

SIZES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
# apsw does not cache statements over 16 KiB of text; a statement of the largest size must stay below.
LARGEST = SIZES[-1]


class Bulk:
    """A statement with `{rows}` where its VALUES belong: its own parameters first, then `width` for each row."""

    def __init__(self, sql: str, *, width: int) -> None:
        self._sql = " ".join(sql.split())
        self._width = width
        self.text = cache(self._text)

    def _text(self, size: int) -> str:
        row = f"({','.join('?' * self._width)})"
        return self._sql.replace("{rows}", ",".join([row] * size))

    def run(self, connection: apsw.Connection, flat: list[Value], *before: Value) -> int:
        """Execute for the rows whose values stand one after the other in `flat`; returns how many rows it changed."""
        changed = 0
        step = LARGEST * self._width
        for start in range(0, len(flat), step):
            sql, bindings = self._fill(flat[start : start + step] if len(flat) > step else flat, before)
            connection.execute(sql, bindings)
            changed += connection.changes()
        return changed

    def select(self, connection: apsw.Connection, flat: list[Value]) -> list[str]:
        """The same for a query that answers with one text; returns one for each chunk."""
        step = LARGEST * self._width
        found: list[str] = []
        for start in range(0, len(flat), step):
            sql, bindings = self._fill(flat[start : start + step], ())
            text = connection.execute(sql, bindings).get
            assert isinstance(text, str)
            found.append(text)
        return found

    def _fill(self, flat: list[Value], before: Sequence[Value]) -> tuple[str, list[Value]]:
        rows = len(flat) // self._width
        size = SIZES[bisect_left(SIZES, rows)]
        return self.text(size), [*before, *flat, *([None] * ((size - rows) * self._width))]
