"""Lines out of a byte stream: both of stoker's protocols are one JSON object a line, ended by a single "\\n"."""


class ProtocolError(Exception):
    """The root of everything this package raises on purpose about what the other side sent."""


class LineTooLong(ProtocolError):
    """A line passed the limit. `lines` are the complete ones that came in front of it in the same chunk."""

    def __init__(self, max_line: int, lines: list[bytes]) -> None:
        super().__init__(f"a line is longer than the {max_line} bytes allowed")
        self.max_line = max_line
        self.lines = lines


class Lines:
    """Cuts chunks into lines; between two calls it holds the unfinished line, at most `max_line` bytes.

    `max_line` counts a line without its "\\n". A stream that passed it stays broken: each further `feed` raises
    again and nothing is held, since nobody should act on what follows a line that was thrown away.
    """

    __slots__ = ("_allowed", "_held", "max_line")

    def __init__(self, max_line: int) -> None:
        self.max_line = max_line
        self._allowed = max_line  # -1 once broken
        # Not a list of chunks: a peer that writes byte by byte would make that fifty times as large as its line.
        self._held = bytearray()

    @property
    def partial(self) -> int:
        """How many bytes of an unfinished line are held."""
        return len(self._held)

    def tail(self) -> bytes:
        """The unfinished line."""
        return bytes(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, in order, without their "\\n". Raises LineTooLong as soon as a line,
        finished or not, passes the limit."""
        end = data.find(b"\n")
        # One chunk, one line: what healthy workers, and clients that wait for their answers, send.
        if end == len(data) - 1 and 0 <= end <= self._allowed and not self._held:
            return [data[:-1]]
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._held:
            lines[0] = self._complete(lines[0])
        if lines and max(map(len, lines)) > self._allowed:
            raise self._break(lines)
        if len(self._held) + len(rest) > self._allowed:
            raise self._break(lines)
        self._held += rest
        return lines

    def _complete(self, end: bytes) -> bytes:
        self._held += end
        line = bytes(self._held)
        self._held.clear()
        return line

    def _break(self, lines: list[bytes]) -> LineTooLong:
        too_long = next((i for i, line in enumerate(lines) if len(line) > self._allowed), len(lines))
        self._allowed = -1
        self._held.clear()
        return LineTooLong(self.max_line, lines[:too_long])
