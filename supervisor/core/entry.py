"""A log event as an entry of systemd's journal: its fields, and the bytes that journald takes.

The format is https://systemd.io/JOURNAL_NATIVE_PROTOCOL/: NAME=VALUE lines, and for a value with a newline its length
before it, so that any bytes may be in a value.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

import msgspec

PREFIX = "STOKER_"
IDENTIFIER = "stoker"
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}

_NAME_MAX = 64  # of a field; journald ignores longer ones
_VALUE_MAX = 200  # characters of one value in a message; the field has the whole
_NAMES = {"exception": "STOKER_TRACEBACK"}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_PLAIN = re.compile(r"[^\s\"'=]+")


def entry(event: Mapping[str, object], level: str) -> bytes:
    """The datagram for an event: `event` is its name, every other key a field of its. What is None has no field."""
    return encode(_fields(event, level))


def encode(fields: Iterable[tuple[str, str]]) -> bytes:
    """The entry that has these fields, whatever is in their values."""
    made = bytearray()
    for name, value in fields:
        data = value.encode("utf-8", "backslashreplace")
        if b"\n" in data:
            made += b"%s\n%s%s\n" % (name.encode(), len(data).to_bytes(8, "little"), data)
        else:
            made += b"%s=%s\n" % (name.encode(), data)
    return bytes(made)


def message(event: Mapping[str, object]) -> str:
    """One line for eyes: what a worker said behind the place it has, any other event by name with what it says of
    itself. What a terminal would act upon is shown instead."""
    if event["event"] == "worker_stderr":
        return f"{event.get('pool')}.{event.get('slot')}: {_tame(str(event.get('line')))}"
    words = [str(event["event"])]
    for name, value in event.items():
        if value is None or value == "" or name == "event":
            continue
        if name == "exception":
            words.append(_shown(str(value).rstrip().rpartition("\n")[2]))
        else:
            words.append(f"{name}={_shown(_text(value))}")
    return " ".join(words)


@lru_cache(1024)
def field(key: str) -> str:
    """What a key of an event is called in the journal, which knows capitals, digits and underscores."""
    return _NAMES.get(key) or (PREFIX + re.sub(r"[^A-Z0-9_]", "_", key.upper()))[:_NAME_MAX]


def _fields(event: Mapping[str, object], level: str) -> Iterator[tuple[str, str]]:
    yield "MESSAGE", message(event)
    yield "PRIORITY", str(PRIORITIES.get(level, PRIORITIES["info"]))
    yield "SYSLOG_IDENTIFIER", IDENTIFIER
    for key, value in event.items():
        if value is not None:
            yield field(key), _text(value)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | list | tuple | dict):
        try:
            return msgspec.json.encode(value, enc_hook=str).decode()
        except (TypeError, ValueError):  # ValueError: half a surrogate pair
            return repr(value)
    return str(value)


def _shown(text: str) -> str:
    if len(text) > _VALUE_MAX:
        text = text[: _VALUE_MAX - 1] + "…"
    return text if text.isprintable() and _PLAIN.fullmatch(text) else repr(text)


def _tame(line: str) -> str:
    """journalctl shows nothing of a message that has control characters."""
    if line.isprintable():
        return line
    line = _COLOURS.sub("", line)
    return "".join(char if char.isprintable() or char == "\t" else repr(char)[1:-1] for char in line)
