"""What is wrong with a call, in one sentence: where, what was expected, what came instead."""

import difflib
import re
from collections.abc import Iterable

import msgspec

from protocol.control import BackoffParams, Params, SubmitParams
from supervisor.errors import NotFound

_PLACE = re.compile(r" - at `\$(?P<path>.*)`$")
_EXPECTED = re.compile(r"Expected `(?P<wanted>[^`]*)`, got `(?P<got>[^`]*)`$")
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
_WORDS = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_SHOWN = 60  # characters of what a client sent that are given back


def explain(error: msgspec.ValidationError, params: type[Params]) -> str:
    """msgspec's complaint about a method's `params`, as `path: what was expected`."""
    text = str(error)
    path = ""
    if place := _PLACE.search(text):
        path = place["path"].lstrip(".")
        text = text[: place.start()]
    if unknown := _UNKNOWN.match(text):
        known = _owner(path, params).__struct_fields__
        return f"{_join(path, cut(unknown['name']))}: not a parameter{hint(unknown['name'], known)}"
    if missing := _MISSING.match(text):
        return f"{_join(path, missing['name'])}: required, but missing"
    if expected := _EXPECTED.match(text):
        text = f"expected {_in_words(expected['wanted'])}, got {_got(expected)}"
    return f"{path or 'params'}: {text}"


def _owner(path: str, params: type[Params]) -> type[Params]:
    """Of the parameter that `path` leads to."""
    if path.endswith("backoff"):
        return BackoffParams
    return SubmitParams if path.startswith("jobs[") else params


def hint(name: str, known: Iterable[str]) -> str:
    """`; did you mean "queue"? known: …`, to stand behind the complaint about an unknown `name`."""
    names = sorted(known)
    if not names:
        return "; there are none"
    near = difflib.get_close_matches(name[:_SHOWN], names, n=1)
    guess = f'; did you mean "{near[0]}"?' if near else ";"
    return f"{guess} known: {', '.join(names)}"


def cut(text: str) -> str:
    """At most a few words of what a client sent."""
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def no_job(job_id: str) -> NotFound:
    return NotFound(f'there is no job "{cut(job_id)}": it was deleted, or never was')


def no_batch(batch_id: str) -> NotFound:
    return NotFound(f'there is no batch "{cut(batch_id)}": it was deleted, or never was')


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _in_words(types: str) -> str:
    return " or ".join(_WORDS.get(name, name) for name in types.split(" | "))


def _got(expected: re.Match[str]) -> str:
    if expected["got"] == "float" and "int" in expected["wanted"]:
        return "a number with a fraction or exponent"
    if expected["got"] == "bool":
        return "a boolean"
    return _in_words(expected["got"])
