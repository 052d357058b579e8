"""What a person should know before any number: a store that fails, pools without workers, queues that nobody serves."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from supervisor.cli import output
from supervisor.cli.tables import highlight

View: TypeAlias = dict[str, Any]

LAST_LINES = 8  # of a reason with many; a traceback says it at its end
INDENT = "  "
DEGRADED_ADVICE = (
    "degraded: a worker does not come up, and jobs wait if none does; stoker tries again by itself, at most 30 s "
    "apart; `stoker restart POOL` tries at once, and `stoker reload` takes a changed configuration"
)


def troubles(status: View) -> Iterator[str]:
    """Of the whole daemon."""
    store = status["store"]
    if store["state"] != "ok":
        yield _told(f"store {highlight(store['state'])}", store["reason"], None)
    yield from pool_troubles(status["pools"])
    if status["unserved"]:
        names = ", ".join(map(output.one_line, status["unserved"]))
        yield f"no pool serves {names}: jobs wait there until a pool has it in its queues"


def pool_troubles(pools: Sequence[View]) -> Iterator[str]:
    """The reasons of those that have one. Of one pool: in full."""
    several = len(pools) > 1
    degraded = [pool for pool in pools if pool["reason"]]
    for pool in degraded:
        name = output.one_line(pool["pool"])
        elsewhere = f"`stoker pools {name}`" if several else None
        yield _told(f"pool {name} {highlight(pool['state'])}", pool["reason"], elsewhere)
    if any(pool["state"] == "degraded" for pool in degraded):
        yield DEGRADED_ADVICE


def _told(who: str, reason: str | None, elsewhere: str | None) -> str:
    """`who: reason`, with further lines indented; where all of them can be seen `elsewhere`, only the last ones."""
    first, *rest = output.printable(reason or "no reason given").expandtabs().splitlines() or [""]
    left_out = len(rest) - LAST_LINES
    if elsewhere is not None and left_out > 1:
        rest = [f"… {left_out} lines more: {elsewhere}", *rest[left_out:]]
    return "\n".join([f"{who}: {first}", *(output.cut(INDENT + line) for line in rest)])
