"""The way into a worker's program: a shell that waits for a line on the request pipe, and then becomes the program.

What must hold before the program's first instruction is done to the waiting shell by system calls, from outside. So
nothing races, no code of ours runs between fork and exec, and a daemon that dies meanwhile leaves an end of file to be
read, upon which the shell goes. A shell's `read` takes single bytes from a pipe: the first request stays in there.
"""

import os
import re
import shutil
from collections.abc import Mapping

from supervisor.config.model import PoolConfig
from supervisor.errors import StokerError
from supervisor.pool.account import Account
from supervisor.pool.cgroups import Cgroup

OPEN = b"\n"
SHELL = "/bin/sh"
_WAIT = 'IFS= read -r STOKER_GATE && exec "$@"'
_ENTER = '{ echo 0 >"$1" || ! echo "it could not enter its cgroup: $1" >&2; } && shift && '
_ENTER_NOFILE = 16  # descriptors that a shell needs for that: it keeps its old stdout as number 10 or above meanwhile
# In this order: stdin and stdout are the pipes until they have been taken to 3 and 4. dash knows one digit only.
_REDIRECT = {"stdio": "", "fd": " 3<&0 4>&1 </dev/null >&2"}

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Shells change these, or are changed by them: an OPTIND that is no number keeps dash from starting.
_SHELLS_OWN = frozenset({"IFS", "OPTIND", "PPID", "LINENO", "SHELLOPTS", "BASHOPTS"})


class NoWay(StokerError):
    """A tool is missing that this pool needs."""

    code = "no_tool"


def gated(
    config: PoolConfig, env: Mapping[str, str], account: Account | None, cgroup: Cgroup | None = None
) -> tuple[list[str], dict[str, str]]:
    """The argv and the environment of the waiting shell, so that the program gets its own command and `env`, runs as
    `account`, is in `cgroup`, and dies with the daemon where setpriv (util-linux) is installed. Raises NoWay."""
    other = account if account is not None and not account.ours else None
    setpriv = _tool("setpriv")
    words: list[str] = []
    if setpriv is not None:
        words = [setpriv, *(_identity(other) if other else []), "--pdeathsig", "KILL", "--"]
    elif other is not None:
        raise NoWay("to start a worker as another user or group needs setpriv: install util-linux")
    carried, restore = _carried(env, everything=other is not None)
    enter, place = (_ENTER, [str(cgroup.entrance)]) if cgroup is not None and enters_itself(config) else ("", [])
    umask = "" if config.umask is None else f"umask {config.umask:04o} && "
    script = umask + enter + _WAIT + _REDIRECT[config.channel]
    return [SHELL, "-c", script, "sh", *place, *words, *restore, *config.command], carried


def enters_itself(config: PoolConfig) -> bool:
    """Whether the waiting shell goes into its cgroup by itself, or has to be put there. The kernel lets whoever moves a
    process wait, for 10 ms and more; that is better not the daemon's loop."""
    limits = dict(config.rlimits)
    return (nofile := limits.get("nofile")) is None or nofile >= _ENTER_NOFILE


def _identity(account: Account) -> list[str]:
    """setpriv's options. Not Popen's `user`: with it Popen forks instead of vforks, which holds the loop for 2 to 9 ms
    in a daemon of 50 to 500 MB; and a root with few capabilities could not set the limits of a process that is another
    user's already."""
    words = [f"--regid={account.gid}"]
    if account.uid is not None:
        words.append(f"--reuid={account.uid}")
    if account.groups is None:
        words.append("--keep-groups")
    else:
        words.append(f"--groups={','.join(map(str, account.groups))}" if account.groups else "--clear-groups")
    return words


def _carried(env: Mapping[str, str], *, everything: bool) -> tuple[dict[str, str], list[str]]:
    """`env` as the shell can take it, and the command that makes of that what it was.

    dash drops every variable whose name is none for a shell ("spring.profiles.active"), without a word. So those
    travel under another name, and env gives them their own back; in its -S the value stays out of the command line,
    which anybody may read. With `everything`: the shell and setpriv run as root, and see nothing that somebody else's
    env_file says (LD_PRELOAD).
    """
    odd = [name for name in env if _must_be_carried(name, everything)]
    if not odd:
        return dict(env), []
    tool = _tool("env")
    if tool is None:
        what = "to start a worker as another user" if everything else f"to hand on the variable {odd[0]!r}"
        raise NoWay(f"{what} needs GNU env: install coreutils")
    carried = {name: value for name, value in env.items() if not _must_be_carried(name, everything)}
    forgotten, restored = [], []
    for number, name in enumerate(odd):
        carrier = f"STOKER_ENV_{number}"
        carried[carrier] = env[name]
        forgotten.append(f"-u {carrier}")
        restored.append(f"{_quoted(name + '=')}${{{carrier}}}")
    return carried, [tool, "-S", " ".join([*forgotten, "--", *restored])]


def _must_be_carried(name: str, everything: bool) -> bool:
    if _PLAIN.fullmatch(name) is None or name in _SHELLS_OWN:
        return True
    return everything and not name.startswith("STOKER_")  # the tree is found by those, also before the gate is open


def _quoted(text: str) -> str:
    """For env -S."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _tool(name: str) -> str | None:
    """Where the program is; busybox's of that name do not know the options."""
    found = shutil.which(name)
    if found is None or os.path.basename(os.path.realpath(found)) == "busybox":
        return None
    return os.path.abspath(found)
