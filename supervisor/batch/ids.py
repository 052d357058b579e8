"""The ids of batches, which are names of folders: nothing becomes one that was not made here."""

import re

import uuid_utils

from supervisor.errors import NotFound

_FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII)
_SHOWN = 40


def new_id() -> str:
    """A UUIDv7: a later one is greater."""
    return str(uuid_utils.uuid7())


def is_id(text: str) -> bool:
    return _FORM.fullmatch(text) is not None


def checked(text: str) -> str:
    """The same text; raises NotFound for what is no id. To be asked before any path is made of it."""
    if not is_id(text):
        raise NotFound(f"there is no batch {text[:_SHOWN]!r}: an id has 36 characters, as batch_list shows them")
    return text
