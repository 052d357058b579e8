"""Who may do what at the control socket."""

from enum import IntEnum


class Role(IntEnum):
    """Each may do what those before it may."""

    LOOK = 1
    SUBMIT = 2
    ADMIN = 3
