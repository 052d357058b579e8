"""One pass over one file: where relative paths start, and every problem met so far."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from supervisor.config.places import home

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN_MAX = 60


class Reading:
    """`folder` is the file's; `environ` and `is_root` are the daemon's. `serving`: it is read in the daemon's own
    process, which has what systemd gives to nobody else. A `lenient` one passes over doubts."""

    def __init__(
        self, folder: Path, environ: Mapping[str, str], is_root: bool, *, serving: bool = True, lenient: bool = False
    ) -> None:
        self.folder = folder
        self.environ = environ
        self.is_root = is_root
        self.serving = serving
        self.lenient = lenient
        self.problems: list[tuple[str, str]] = []

    def problem(self, at: str, text: str) -> None:
        self.problems.append((at, text))

    def doubt(self, at: str, text: str) -> None:
        if not self.lenient:
            self.problem(at, text)

    def unfit(self, at: str, value: object, expected: str) -> None:
        self.problem(at, f"found {shown(value)}, expected {expected}")

    def path(self, text: str) -> Path:
        """Absolute: relative to the file's folder, or to the home folder after "~/"."""
        if text == "~" or text.startswith("~/"):
            return home(self.environ) / text[2:]
        return self.folder / text


def join(at: str, key: str) -> str:
    """The key path of `key` in the table `at`, written as TOML would."""
    key = key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)
    return f"{at}.{key}" if at else key


def shown(value: object) -> str:
    """A value as TOML writes it, short enough for a message."""
    if isinstance(value, dict):
        return "a table" if value else "an empty table"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, int) and value.bit_length() > 128:
        return "a huge number"  # str() of thousands of digits is an error of its own
    if isinstance(value, str | bool):
        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) <= _SHOWN_MAX else f'{text[: _SHOWN_MAX - 2]}…"'
    return str(value)


def kind_of(value: object) -> str:
    """What stands in the place of a value that must not be shown."""
    if isinstance(value, bool):
        return "true or false"
    for kind, name in ((str, "a text"), (int | float, "a number"), (list, "a list"), (dict, "a table")):
        if isinstance(value, kind):
            return name
    return "a date or time"
