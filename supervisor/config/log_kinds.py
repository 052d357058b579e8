"""Kinds of the keys about logs."""

import os

from supervisor.config import kinds
from supervisor.config.places import JOURNAL_SOCKET
from supervisor.config.reading import Reading

_WORD = kinds.one_of("auto", "console", "json", "journal")


def log_format(reading: Reading, at: str, value: object) -> str | None:
    word = _WORD(reading, at, value)
    if word == "journal" and not os.path.exists(JOURNAL_SOCKET):
        reading.unfit(at, value, f'"auto", "console" or "json", since {JOURNAL_SOCKET} is not there: no journald runs')
        return None
    return word
