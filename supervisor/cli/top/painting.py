"""From the lines of a frame to the bytes that a terminal needs, and none that it has already."""

from collections.abc import Sequence

from rich.cells import cell_len

from supervisor.cli.top.columns import Line

_CODES = {"bold": "1", "dim": "2", "reverse": "7", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
COLOURS = frozenset({"red", "green", "yellow", "cyan"})


def painted(line: Line, *, colours: bool) -> str:
    """As a terminal shows it. Without `colours`: what is bold, dim or reversed stays so."""
    return "".join(
        f"\x1b[{_CODES[piece.style]}m{piece.text}\x1b[0m"
        if piece.style and piece.text.strip() and (colours or piece.style not in COLOURS)
        else piece.text
        for piece in line
    )


def bare(line: Line) -> str:
    """As text."""
    return "".join(piece.text for piece in line).rstrip()


class Painter:
    """Knows what the screen shows. `encoding` is the terminal's."""

    def __init__(self, *, colours: bool, encoding: str) -> None:
        self._colours = colours
        self._encoding = encoding
        self._shown: list[str] = []
        self._size: tuple[int, int] | None = None

    def forget(self) -> None:
        """Somebody else has written to the screen."""
        self._size = None

    def paint(self, lines: Sequence[Line], width: int, height: int) -> bytes:
        """What changes the screen into these lines, to be written at once. The screen is never cleared before it is
        written: that would flicker."""
        if self._size != (width, height):
            self._size, self._shown = (width, height), []
        out: list[str] = []
        fresh: list[str] = []
        for row in range(height):
            line = lines[row] if row < len(lines) else ()
            text = painted(line, colours=self._colours)
            fresh.append(text)
            if row >= len(self._shown) or self._shown[row] != text:
                # What fills the whole line is not followed by an erasure: that would take its last character.
                full = sum(cell_len(piece.text) for piece in line) >= width
                out.append(f"\x1b[{row + 1}H{text}" + ("" if full else "\x1b[K"))
        self._shown = fresh
        return "".join(out).encode(self._encoding, "replace")
