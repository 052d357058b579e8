"""How many lines there are to answer, while they come in."""

from supervisor.lines.reading import BOM, WHITE


class LineCount:
    """Of a file that comes in pieces: how many of its lines are not blank, as LineReader will find them."""

    def __init__(self) -> None:
        self._complete = 0
        self._begun = False  # the last line has no end yet, and is not blank
        self._start: bytes | None = b""  # until it is known whether a byte order mark is there

    @property
    def count(self) -> int:
        """The last line counts as soon as it is not blank."""
        return self._complete + (self._begun or bool((self._start or b"").strip(WHITE)))

    def feed(self, data: bytes) -> None:
        if self._start is not None:
            data = self._start + data
            if BOM.startswith(data):  # it, or not yet all of it
                self._start = data if data != BOM else None
                return
            self._start, data = None, data.removeprefix(BOM)
        *lines, rest = data.split(b"\n")
        if lines:
            first = self._begun or bool(lines[0].strip(WHITE))
            self._complete += first + sum(1 for line in lines[1:] if line.strip(WHITE))
            self._begun = False
        self._begun = self._begun or bool(rest.strip(WHITE))
