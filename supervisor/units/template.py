"""The templates' language: `@NAME@` is replaced, and of `@IF word@` … `@ELSE@` … `@END@` (each alone on its line, one
not inside another) the part stays that fits the words given."""

import re
from collections.abc import Mapping, Set
from pathlib import Path

_IF = re.compile(r"@IF ([a-z_]+)@")
_NAME = re.compile(r"@([A-Z_]+)@")
_HERE = Path(__file__).parent


def read(name: str) -> str:
    """The text of a template that lies beside this file."""
    return (_HERE / name).read_text(encoding="utf-8")


def render(text: str, values: Mapping[str, str], words: Set[str]) -> str:
    """The text for these values and words. Raises KeyError for a name without a value."""
    kept: list[str] = []
    keeps = True
    for line in text.splitlines(keepends=True):
        mark = line.strip()
        if found := _IF.fullmatch(mark):
            keeps = found[1] in words
        elif mark == "@ELSE@":
            keeps = not keeps
        elif mark == "@END@":
            keeps = True
        elif keeps:
            kept.append(line)
    return _NAME.sub(lambda name: values[name[1]], "".join(kept))
