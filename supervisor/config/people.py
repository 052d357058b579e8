"""The entries of an access list: a user, "@" and a group, or "*"; by name or number.

A user or group that this machine does not know is a doubt and no error: `check-config` and a reload refuse it, but a
daemon starts without an account that was removed since. The entry then means nobody.
"""

import os
import pwd
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from supervisor.config import kinds, machine
from supervisor.config.reading import Reading, shown

EVERYBODY = "*"
_EVERYBODY = machine.ID_MAX + 1  # numbers of a user namespace in which nobody is missing
_FORM = 'a user such as "alice", a group such as "@ops", a number of either, or "*" for everybody who can connect'


class Person(NamedTuple):
    """A user's number or a group's. Neither: everybody."""

    uid: int | None = None
    gid: int | None = None


def listed(reading: Reading, at: str, value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        reading.unfit(at, value, 'a list of users and groups, such as ["alice", "@ops"]')
        return None
    entries = [_entry(reading, f"{at}[{index}]", item) for index, item in enumerate(value)]
    return tuple(entry for entry in entries if entry is not None) if None not in entries else None


def _entry(reading: Reading, at: str, value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= machine.ID_MAX:
        value = str(value)
    if not kinds.is_text(value) or value == "@":
        reading.unfit(at, value, _FORM)
        return None
    try:
        find(value)
    except LookupError as error:
        reading.doubt(at, f"found {shown(value)}, {error.args[0]}")
    return value


def find(entry: str) -> Person:
    """Raises LookupError, with what was expected instead."""
    if entry == EVERYBODY:
        return Person()
    if entry.startswith("@"):
        return Person(gid=_number(entry[1:], "group"))
    return Person(uid=_number(entry, "user"))


def is_out_of_sight(person: Person) -> bool:
    """Whether we are in a user namespace (`PrivateUsers=` in a unit, a container) in which there is no such user or
    group, so that the kernel never shows us one by this number."""
    if person.uid is not None:
        return not _is_mapped(person.uid, "uid")
    return person.gid is not None and not _is_mapped(person.gid, "gid")


def stands_for_strangers(uid: int) -> bool:
    """Whether the kernel shows us users of another user namespace by this number. The machine's own namespace has
    everybody: there it is the account nobody, and no more."""
    return uid == overflow("uid") and sum(count for _, count in _mapped("uid") or ()) != _EVERYBODY


def _is_mapped(number: int, what: str) -> bool:
    ranges = _mapped(what)
    return ranges is None or any(first <= number < first + count for first, count in ranges)


def _mapped(what: str) -> list[tuple[int, int]] | None:
    """The numbers of our user namespace: where each range begins, and how many it has. None: nobody knows."""
    try:
        with open(f"/proc/self/{what}_map") as file:
            rows = [line.split() for line in file]
        return [(int(first), int(count)) for first, _, count in rows]
    except (OSError, ValueError):
        return None


@cache
def overflow(what: str) -> int:
    """The number in whose place the kernel shows every user (`uid`) or group (`gid`) that has none here, since he is of
    another user namespace."""
    try:
        with open(f"/proc/sys/kernel/overflow{what}") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 65534


def _number(text: str, what: str) -> int:
    if text.isascii() and text.isdigit():  # a number needs no name: those of a container may have none here
        found = int(text) if len(text) <= 10 and int(text) <= machine.ID_MAX else None
    elif what == "user":
        account = machine.find_user(text)
        found = None if account is None else account.pw_uid
    else:
        group = machine.find_group(text)
        found = None if group is None else group.gr_gid
    if found is None:
        raise LookupError(f"expected a {what} that this machine knows{_nearest(text, what)}")
    if found == overflow("uid" if what == "user" else "gid"):
        raise LookupError(
            f"expected another {what}: the number {found} also stands for everybody from another user namespace"
        )
    return found


def _nearest(text: str, what: str) -> str:
    import grp  # only a wrong file pays for it
    from difflib import get_close_matches

    users, groups = [one.pw_name for one in pwd.getpwall()], [one.gr_name for one in grp.getgrall()]
    own, other = (users, groups) if what == "user" else (groups, users)
    if what == "user" and text in other:
        return f'; there is a group of that name: "@{text}"'
    if what == "group" and text in other:
        return f'; there is a user of that name: "{text}"'
    near = get_close_matches(text, own, n=1)
    prefix = "" if what == "user" else "@"
    return f'; did you mean "{prefix}{near[0]}"?' if near else ""


def name_of(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def groups_of(uid: int, gid: int) -> Sequence[int]:
    """What the machine's database says, the primary one included."""
    try:
        return os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except (KeyError, OSError):
        return [gid]
