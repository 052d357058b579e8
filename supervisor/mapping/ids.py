"""The ids of lines, as their workers see them.

All of a run begin alike and end in the number of their line: a line that is tried again has the id that it had, and
where a run goes on after a crash with the beginning that its journal kept, even then.
"""

from uuid_utils import uuid7

_DIGITS = 12  # hexadecimal, at the end of a UUID: more lines than anybody has


def new_stem() -> str:
    """What the ids of a new run begin with: a UUIDv7 without its last part."""
    return str(uuid7())[:-_DIGITS]


def line_id(stem: str, number: int) -> str:
    """36 characters, a UUID."""
    return f"{stem}{number:012x}"
