"""Whom a worker runs as, when not as the daemon."""

import grp
import os
import pwd
from typing import NamedTuple

from supervisor.config.machine import find_group, find_user
from supervisor.errors import StokerError


class NoAccount(StokerError):
    """A user or group that a worker cannot be given."""

    code = "account"


class Account(NamedTuple):
    """`uid` None: the daemon's own user, in another group. `groups`: the supplementary ones, None: as they are.
    `ours`: the daemon is that user and group already."""

    uid: int | None
    gid: int
    groups: tuple[int, ...] | None
    variables: dict[str, str]
    ours: bool


def find_account(user: str | None, group: str | None) -> Account | None:
    """By name or number, looked up now; None when neither is given. Raises NoAccount with the reason."""
    if user is None and group is None:
        return None
    account = _account(_user(user), _group(group))
    if os.geteuid() != 0 and not account.ours:
        key, name = ("user", user) if user is not None else ("group", group)
        raise NoAccount(f"{key} = {name!r}: only a daemon that runs as root can start a worker as somebody else")
    return account


def _account(user: pwd.struct_passwd | None, group: grp.struct_group | None) -> Account:
    in_group = group is None or group.gr_gid == os.getegid()
    if user is None:
        assert group is not None
        return Account(None, group.gr_gid, None, {}, in_group)
    gid = group.gr_gid if group is not None else user.pw_gid
    try:
        groups = tuple(os.getgrouplist(user.pw_name, gid))
    except OSError as error:
        raise NoAccount(f"the groups of the user {user.pw_name} cannot be found out: {error.strerror}") from None
    return Account(
        uid=user.pw_uid,
        gid=gid,
        groups=groups,
        variables={"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name, "SHELL": user.pw_shell},
        ours=in_group and user.pw_uid == os.geteuid(),
    )


def _user(user: str | None) -> pwd.struct_passwd | None:
    found = find_user(user) if user is not None else None
    if user is not None and found is None:
        raise NoAccount(f"user = {user!r}: this machine knows no such user")
    return found


def _group(group: str | None) -> grp.struct_group | None:
    found = find_group(group) if group is not None else None
    if group is not None and found is None:
        raise NoAccount(f"group = {group!r}: this machine knows no such group")
    return found
