"""Files of environment variables: what systemd's EnvironmentFile=, a shell and docker compose read alike.

What they read differently (a backslash outside quotes, " #" after a value, an unusual escape) is refused instead of
guessed, with the way to write it. Not python-dotenv: it skips a line that it cannot read, and a worker would start
without its password. No message quotes a line, nor a name that is none: it may be a piece of a secret.
"""

import os
import re
import stat
from pathlib import Path

from supervisor.config.quantities import format_size
from supervisor.errors import StokerError

WRONG_NAME = 'found a name that is lost on its way through a shell, expected letters, digits and "_", no digit first'
EXPECTED = "expected a file of NAME=VALUE lines"
SIZE_MAX = 1024 * 1024  # bytes; the kernel gives a program no more than a few times that

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOTHING = re.compile(r"[ \t\r]*(?:[#;][^\n]*)?(?:\n|\Z)")
_EXPORT = re.compile(r"^export[ \t]+")
_SINGLE = re.compile(r"[ \t]*'([^']*)'")
_DOUBLE = re.compile(r'[ \t]*"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_COMMENT = re.compile(r"[ \t]#")
_REST = re.compile(r"[ \t\r]*(?:\n|\Z)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"\\": "\\", '"': '"', "$": "$", "`": "`", "n": "\n"}


class EnvFileError(StokerError):
    """A file of variables that cannot be used; the message has the file and the line, and nothing of its content."""

    code = "env_file"


class _Wrong(Exception):
    """What is wrong, and the position where."""


def is_variable(name: str) -> bool:
    """Whether a worker gets a variable of this name: it is started through a shell, and dash drops others."""
    return _NAME.fullmatch(name) is not None


def read_env_file(path: Path) -> tuple[tuple[str, str], ...]:
    """The variables of the file in its order; of a name that comes twice the last one counts. Raises EnvFileError."""
    text = _text(path)
    try:
        return tuple(_variables(text))
    except _Wrong as error:
        what, position = error.args
        raise EnvFileError(f"{path}, line {text.count(chr(10), 0, position) + 1}: {what}") from None


def _text(path: Path) -> str:
    data = _data(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise EnvFileError(f"{path}, line {line}: found a byte that is not UTF-8, expected UTF-8 text") from None
    if (nul := text.find("\0")) >= 0:
        line = text.count("\n", 0, nul) + 1
        raise EnvFileError(f"{path}, line {line}: found a NUL, expected text; no variable can hold one")
    return text.replace("\r\n", "\n")


def _data(path: Path) -> bytes:
    """A pipe or a device is refused unread: the daemon would wait for it, at the start of each worker."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise EnvFileError(f"{path} is not a regular file, {EXPECTED}")
            with open(fd, "rb", closefd=False) as file:
                data = file.read(SIZE_MAX + 1)
        finally:
            os.close(fd)
    except OSError as error:
        raise EnvFileError(f"{path} cannot be read ({error.strerror}), {EXPECTED}") from None
    if len(data) > SIZE_MAX:
        raise EnvFileError(f"{path} is larger than {format_size(SIZE_MAX)}, {EXPECTED}")
    return data


def _variables(text: str) -> list[tuple[str, str]]:
    found = []
    position = 0
    while position < len(text):
        if nothing := _NOTHING.match(text, position):
            position = nothing.end()
            continue
        name, start = _name(text, position)
        value, position = _value(text, start)
        found.append((name, value))
    return found


def _name(text: str, position: int) -> tuple[str, int]:
    """The name at the beginning of a line, and where its value begins."""
    before, equals, _ = _line(text, position).partition("=")
    if not equals:
        raise _Wrong('found no "=", expected NAME=VALUE, or "#" at the beginning of a comment', position)
    name = _EXPORT.sub("", before.strip(" \t"), count=1)
    if not is_variable(name):
        raise _Wrong(WRONG_NAME, position)
    if name.startswith("STOKER_"):
        raise _Wrong(f"found {name}, expected no name that begins with STOKER_: those are stoker's own", position)
    return name, position + len(before) + 1


def _value(text: str, position: int) -> tuple[str, int]:
    """The value that begins after "=", and where the next line begins."""
    if quoted := _SINGLE.match(text, position):
        return quoted[1], _end(text, quoted.end())
    if quoted := _DOUBLE.match(text, position):
        return _unescaped(quoted[1], position), _end(text, quoted.end())
    raw = _line(text, position)
    value = raw.strip(" \t\r")
    if value.startswith(("'", '"')):
        raise _Wrong(f"found a quote ({value[0]}) that is never closed, expected one more", position)
    if "\\" in value:
        raise _Wrong("found a backslash outside quotes, expected the value in single quotes, which keep it", position)
    if _COMMENT.search(raw):
        raise _Wrong(
            'found " #" outside quotes, expected a comment on a line of its own, or the value in quotes', position
        )
    return value, position + len(raw) + 1


def _line(text: str, position: int) -> str:
    end = text.find("\n", position)
    return text[position:] if end < 0 else text[position:end]


def _end(text: str, position: int) -> int:
    rest = _REST.match(text, position)
    if rest is None:
        raise _Wrong("found something after the closing quote, expected the end of the line", position)
    return rest.end()


def _unescaped(text: str, position: int) -> str:
    unknown = next((escape for escape in _ESCAPE.finditer(text) if escape[1] not in _ESCAPES), None)
    if unknown is not None:
        raise _Wrong('found an unknown escape in double quotes, expected \\\\, \\", \\$, \\` or \\n', position)
    return _ESCAPE.sub(lambda escape: _ESCAPES[escape[1]], text)
