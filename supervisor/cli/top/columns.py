"""Rows of cells in a width: what is less important goes, what is too long is cut."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from supervisor.cli import output

LONGEST = 400  # characters of any text that are looked at; no screen shows more
GAP = 1


class Piece(NamedTuple):
    """Some text and its style: "", or one that `painting` knows."""

    text: str
    style: str = ""


Line = tuple[Piece, ...]


class Column(NamedTuple):
    """`floor`: never narrower, so that it does not jump about with what is in it. `give`: cut down to `floor` where the
    width is too small. `spare`: left out where even that does not help, the highest first; 0: never. `maybe`: left out
    while nothing stands in it; the others stay, so that the screen stands still."""

    header: str
    floor: int = 0
    right: bool = False
    give: bool = False
    spare: int = 0
    maybe: bool = False


def plain(text: str) -> str:
    """On one line, with nothing in it that steers a terminal, and no longer than a screen is wide."""
    return output.one_line(text[:LONGEST])


def cut(text: str, width: int) -> str:
    """At most so wide; an ellipsis says that there was more."""
    if cell_len(text) <= width:
        return text
    return "" if width < 1 else set_cell_size(text, width - 1).rstrip() + "…"


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Exactly so wide."""
    text = cut(text, width)
    room = " " * (width - cell_len(text))
    return room + text if right else text + room


def clip(line: Line, width: int) -> Line:
    """The pieces that fit, the last of them cut."""
    shown: list[Piece] = []
    for piece in line:
        left = width - sum(cell_len(one.text) for one in shown)
        if cell_len(piece.text) > left:
            return (*shown, piece._replace(text=cut(piece.text, left)))
        shown.append(piece)
    return line


def table(columns: Sequence[Column], rows: Sequence[Sequence[Piece]], width: int) -> list[Line]:
    """The header and the rows."""
    kept = [place for place, one in enumerate(columns) if not one.maybe or any(row[place].text for row in rows)]
    while _least(columns, rows, kept) > width and any(columns[place].spare for place in kept):
        kept.remove(max(kept, key=lambda place: columns[place].spare))
    widths = _widths(columns, rows, kept, width)
    header = [Piece(column.header, "bold") for column in columns]
    return [
        _line([row[place] for place in kept], [columns[place] for place in kept], widths) for row in (header, *rows)
    ]


def _line(row: Sequence[Piece], columns: Sequence[Column], widths: Sequence[int]) -> Line:
    pieces: list[Piece] = []
    for cell, column, width in zip(row, columns, widths, strict=True):
        if pieces:
            pieces.append(Piece(" " * GAP))
        pieces.append(cell._replace(text=fit(cell.text, width, right=column.right)))
    return tuple(pieces)


def _natural(column: Column, rows: Sequence[Sequence[Piece]], place: int) -> int:
    return max(column.floor, cell_len(column.header), *(cell_len(row[place].text) for row in rows), 0)


def _least(columns: Sequence[Column], rows: Sequence[Sequence[Piece]], kept: Sequence[int]) -> int:
    widths = (
        max(columns[place].floor, cell_len(columns[place].header))
        if columns[place].give
        else _natural(columns[place], rows, place)
        for place in kept
    )
    return sum(widths) + GAP * (len(kept) - 1)


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[Piece]], kept: Sequence[int], width: int) -> list[int]:
    """What is too much is taken from the widest column that gives, again and again."""
    widths = [_natural(columns[place], rows, place) for place in kept]
    least = [max(columns[place].floor, cell_len(columns[place].header)) for place in kept]
    excess = sum(widths) + GAP * (len(kept) - 1) - width
    while excess > 0:
        giving = [n for n, place in enumerate(kept) if columns[place].give and widths[n] > least[n]]
        if not giving:
            break
        widths[max(giving, key=lambda n: widths[n])] -= 1
        excess -= 1
    return widths
