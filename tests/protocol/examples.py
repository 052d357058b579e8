"""The examples of protocol/README.md: finding them, and comparing what they expect with what comes.

In an expected answer `…` stands for any value, for further members of an object, for the items of a list, or for any
part of a string. An id that ends in it ("0199f3c2-a…") is a name for the id that comes in its place.
"""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

README = Path(__file__).parents[2] / "protocol" / "README.md"

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"[0-9a-f]{8}-[0-9a-z]*…")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:…]|[^\s"{}\[\],:…]+')

_ANYTHING = "\0anything"
_MORE = "\0more"


class Example(NamedTuple):
    """One fenced block; `where` is its line in the document."""

    where: int
    text: str

    def __str__(self) -> str:
        return f"line-{self.where}"

    def lines(self) -> list[str]:
        """Each line, with the indented ones behind it put together again."""
        return re.sub(r"\n +", " ", self.text).splitlines()


def examples(kind: str) -> list[Example]:
    text = README.read_text()
    found = (match for match in _BLOCK.finditer(text) if match[1] == kind)
    return [Example(text.count("\n", 0, match.start()) + 2, match[2]) for match in found]


class Names:
    """What the named ids of one example turned out to be."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def fill_in(self, text: str) -> str:
        return _NAME.sub(lambda name: self._ids[name[0]], text)

    def agree(self, name: str, actual: str) -> bool:
        if _ID.fullmatch(actual) is None:
            return False
        if name not in self._ids and actual in self._ids.values():
            return False  # two names, one job
        return self._ids.setdefault(name, actual) == actual


def pattern(text: str) -> Any:
    """JSON with `…` in it, as a value that `differences` understands."""
    out: list[str] = []
    containers: list[str] = []
    for token in _TOKEN.findall(text):
        if token in "{[":
            containers.append(token)
        elif token in "}]":
            containers.pop()
        elif token == "…":
            is_value = out[-1] == ":" or not containers or containers[-1] == "["
            token = json.dumps(_ANYTHING) if is_value else f"{json.dumps(_MORE)}:0"
        out.append(token)
    return json.loads("".join(out))


def differences(expected: Any, actual: Any, names: Names, at: str = "$") -> list[str]:
    """Where `actual` is not what the pattern says; nothing when it is."""
    if expected == _ANYTHING:
        return []
    if isinstance(expected, dict) and isinstance(actual, dict):
        return _object_differences(expected, actual, names, at)
    if isinstance(expected, list) and isinstance(actual, list):
        if expected == [_ANYTHING]:
            return []
        if len(expected) != len(actual):
            return [f"{at}: expected {len(expected)} items, got {actual!r}"]
        pairs = enumerate(zip(expected, actual, strict=True))
        return [text for i, (one, other) in pairs for text in differences(one, other, names, f"{at}[{i}]")]
    if isinstance(expected, str) and isinstance(actual, str) and "…" in expected:
        return [] if _agrees(expected, actual, names) else [f"{at}: expected {expected!r}, got {actual!r}"]
    same = expected == actual and isinstance(expected, bool) == isinstance(actual, bool)
    return [] if same else [f"{at}: expected {expected!r}, got {actual!r}"]


def _object_differences(expected: dict[str, Any], actual: dict[str, Any], names: Names, at: str) -> list[str]:
    known = expected.keys() - {_MORE}
    found = [f"{at}.{name}: missing" for name in sorted(known - actual.keys())]
    if _MORE not in expected:
        found += [f"{at}.{name}: not in the example" for name in sorted(actual.keys() - known)]
    for name in expected.keys() & actual.keys():
        found += differences(expected[name], actual[name], names, f"{at}.{name}")
    return found


def _agrees(expected: str, actual: str, names: Names) -> bool:
    if _NAME.fullmatch(expected):
        return names.agree(expected, actual)
    return re.fullmatch(".*".join(map(re.escape, expected.split("…"))), actual, re.DOTALL) is not None
