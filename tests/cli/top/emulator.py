"""As much of a terminal as stoker top needs: text, colours, places, erasing to the end of a line."""

import re

from rich.cells import cell_len

_TOKEN = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])|([^\x1b])", re.DOTALL)


class Emulator:
    """`modes` holds the private modes that are set; `styled` whether any text had a colour or another style."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self.modes: set[str] = {"7", "25"}
        self.codes: set[str] = set()
        self.written = 0
        self._rest = ""
        self._rows = [[" "] * width for _ in range(height)]
        self._row = self._column = 0

    def resize(self, width: int, height: int) -> None:
        """What was there stays, as far as there is room, and the rest is rubbish as a real one leaves it."""
        rows = [["?"] * width for _ in range(height)]
        for row, old in zip(rows, self._rows, strict=False):
            row[: len(old)] = old[:width]
        self.size, self._rows = (width, height), rows

    def feed(self, data: bytes) -> None:
        self.written += len(data)
        text = self._rest + data.decode()
        end = 0
        while (found := _TOKEN.match(text, end)) is not None:
            end = found.end()
            private, numbers, letter, character = found.groups()
            if character is not None:
                self._put(character)
            else:
                self._obey(private, numbers, letter)
        self._rest = text[end:]
        assert len(self._rest) < 20, f"not understood: {self._rest!r}"

    def _obey(self, private: str, numbers: str, letter: str) -> None:
        match private, letter:
            case "?", "h":
                self.modes.add(numbers)
            case "?", "l":
                self.modes.discard(numbers)
            case "", "m":
                self.codes.add(numbers)
            case "", "H":
                row, _, column = numbers.partition(";")
                self._row, self._column = int(row or 1) - 1, int(column or 1) - 1
            case "", "K":
                assert numbers == ""
                self._rows[self._row][self._column :] = [" "] * (self.size[0] - self._column)
            case "", "J":
                assert numbers == "2"
                self._rows = [[" "] * self.size[0] for _ in self._rows]
            case _:
                raise AssertionError(f"not understood: {private}{numbers}{letter}")

    def _put(self, character: str) -> None:
        assert character.isprintable() or character in "\r\n", f"{character!r} steers the terminal"
        if character in "\r\n":  # the shell's screen: not ours to look at
            return
        wide = cell_len(character)
        if self._column + wide <= self.size[0] and wide:
            self._rows[self._row][self._column : self._column + wide] = [character, *[""] * (wide - 1)]
            # As a real one, it stays on the last column once that is written, where an erasure takes it away.
            self._column = min(self._column + wide, self.size[0] - 1)

    @property
    def lines(self) -> list[str]:
        return ["".join(row).rstrip() for row in self._rows]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)
