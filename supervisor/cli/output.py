"""What goes to stdout: JSON for programs, text for people, both safe for the terminal that shows them."""

import os
import re
import sys
from typing import Any

from supervisor.cli import json_text

# Error messages, names and log lines come from workers and clients: they must not steer the terminal.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_UNSAFE_IN_JSON = re.compile(r"[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class OutputLost(Exception):
    """Stdout takes no more: its reader has left, its disk is full. Not an OSError, of which click would make an exit
    code of its own."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.error = error


def is_terminal() -> bool:
    return sys.stdout.isatty()


def write(text: str) -> None:
    """The text and a newline; what stdout's encoding lacks is escaped."""
    try:
        try:
            sys.stdout.write(text + "\n")
        except UnicodeEncodeError:
            encoding = sys.stdout.encoding
            sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    except OSError as error:
        raise OutputLost(error) from None


def write_text(text: str) -> None:
    """The text and a newline, in UTF-8 whatever stdout's encoding is: what programs are to read as it is. Not beside
    `write`, whose text comes later."""
    try:
        sys.stdout.buffer.write(text.encode() + b"\n")
    except OSError as error:
        raise OutputLost(error) from None


def flush() -> None:
    """Let it be seen now; a reader that has left is noticed here."""
    try:
        sys.stdout.flush()
    except OSError as error:
        raise OutputLost(error) from None


def let_go() -> None:
    """After OutputLost: let the interpreter's last flush go nowhere, instead of failing once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def to_json(value: Any, *, indent: int | None = None) -> str:
    """JSON text that any terminal and any encoding of stdout can carry; one line unless indented."""
    text = json_text.encode(value, indent=indent)
    text = harmless(text)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json_text.encode(value, indent=indent, ascii_only=True)
    return text


def harmless(text: str) -> str:
    """JSON text with what could steer a terminal escaped."""
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def write_json(value: Any) -> None:
    """One document: indented for the eyes on a terminal, one line otherwise."""
    write(to_json(value, indent=2 if is_terminal() else None))


def printable(text: str) -> str:
    """The text with control characters other than tab and newline spelled out."""
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


def cut(line: str) -> str:
    """On a terminal, what fits into one row of it."""
    if not is_terminal():
        return line
    from shutil import get_terminal_size

    return fit(line, get_terminal_size().columns)


def fit(line: str, width: int) -> str:
    """Cut to so many columns."""
    from rich.cells import cell_len, set_cell_size

    return line if cell_len(line) <= width else set_cell_size(line, width - 1) + "…"


def one_line(text: str) -> str:
    """For a table's cell: white space of any kind becomes single spaces."""
    return printable(" ".join(text.split()))
