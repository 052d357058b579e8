"""What is said of a worker that did not come up, was too slow or used too much: sentences for people."""

import shlex

from supervisor.config.model import PoolConfig
from supervisor.config.quantities import format_size
from supervisor.core.words import about_size
from supervisor.pool.child import Child

COMMAND = 200  # characters of it in a reason
LINES, CHARACTERS = 12, 1000  # of stderr in a reason: a traceback's end, and no flood


def in_full(reason: str, command: tuple[str, ...], stderr: str | None) -> str:
    """Why a worker did not come up, with the program and the last it said: all of that is in the log."""
    said = shlex.join(command).replace("\n", " ")
    if len(said) > COMMAND:
        said = said[: COMMAND - 1] + "…"
    if not stderr:
        return f"{reason} (command: {said})"
    last = "\n".join(stderr.splitlines()[-LINES:])[-CHARACTERS:]
    return f"{reason} (command: {said}); its stderr ends:\n{last}"


def killed_for_memory(child: Child, config: PoolConfig) -> str | None:
    """What the kernel says, if it was the kernel that ended a child for its memory."""
    cgroup = child.cgroup
    if cgroup is None or not cgroup.oom_kills():
        return None
    if config.memory_limit is None or not cgroup.limited or not cgroup.reached_its_limit():
        return "the kernel killed the worker for its memory: the service (MemoryMax=) or the machine had none left"
    return out_of_memory(cgroup.peak() or config.memory_limit, config.memory_limit)


def out_of_memory(used: int, limit: int) -> str:
    """`used` is what was seen: the kernel stops a worker at its limit, and no more is ever seen."""
    found = f"it used {about_size(used)}" if used > limit else f"it had {about_size(used)} and wanted more"
    return f"the worker was killed for its memory: {found}, and its memory_limit is {format_size(limit)}"


def patience(allowed: float, timeout: float, *, silent: bool) -> str:
    """How long was waited for a reply (seconds, and how many of them were the job's own); `silent`: none ever came."""
    waited = f"{allowed:g} s"
    if allowed > timeout:
        waited += f" (timeout {timeout:g} s and boot_timeout {allowed - timeout:g} s)"
    if silent:
        waited += "; it has not said a word yet: does it flush each line?"
    return waited
