"""A client's bytes, cut into lines. A line over the limit costs its sender one error, not the connection."""

from protocol.framing import Lines, LineTooLong


class Intake:
    """Lines of at most `max_line` bytes; in place of a longer one there is a LineTooLong, as soon as it is too long.

    What is left of such a line is thrown away as it comes, so that no more than `max_line` bytes are ever held.
    """

    __slots__ = ("_lines", "_max_line", "_skipping")

    def __init__(self, max_line: int) -> None:
        self._max_line = max_line
        self._lines = Lines(max_line)
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes | LineTooLong]:
        """What `data` completes, in order."""
        found: list[bytes | LineTooLong] = []
        rest = self._after_skipped(data)
        while rest:
            try:
                found += self._lines.feed(rest)
                break
            except LineTooLong as error:
                found += error.lines
                found.append(error)
                self._lines = Lines(self._max_line)
                self._skipping = True
                rest = self._after_skipped(_without(rest, len(error.lines)))
        return found

    def end(self) -> list[bytes | LineTooLong]:
        """What was left unfinished when the stream ended: `printf '{…}' | nc -U` ends its line by ending."""
        tail = self._lines.tail()
        self._lines = Lines(self._max_line)
        return [tail] if tail else []

    def _after_skipped(self, data: bytes) -> bytes:
        if not self._skipping:
            return data
        end = data.find(b"\n")
        self._skipping = end < 0
        return b"" if self._skipping else data[end + 1 :]


def _without(data: bytes, lines: int) -> bytes:
    """`data` behind its first `lines` lines."""
    return data.split(b"\n", lines)[-1] if lines else data
