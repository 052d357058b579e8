"""What the pool logs, as far as somebody who waits for a file wants to know it: on the screen, a line each."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from structlog.typing import EventDict

from supervisor.mapping.screen import Screen


@contextmanager
def telling(screen: Screen) -> Iterator[None]:
    """While this is entered, events become lines of the screen."""
    before = structlog.get_config()

    def tell(_logger: object, _level: str, event: EventDict) -> str:
        for line in words(event):
            screen.say(line)
        raise structlog.DropEvent

    structlog.configure(
        processors=[tell],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def words(event: EventDict) -> list[str]:
    """The lines that an event is worth; most are worth none: what became of a line stands in its answer."""
    match event["event"]:
        case "worker_stderr":
            return [f"worker {event['slot']}: {event['line']}"]
        case "worker_stderr_dropped":
            return [f"worker {event['slot']}: … {event['lines']} more lines, {event['bytes']} bytes (too many to show)"]
        case "pool_degraded":
            first = str(event["reason"]).split("\n", 1)[0].removesuffix("; its stderr ends:")  # that was shown
            return [f"stoker: worker {event['slot']} does not come up, and is tried again: {first}"]
        case "pool_recovered":
            return ["stoker: the workers come up again"]
        case "worker_tree_survived":
            return [f"stoker: processes of a worker could not be killed, and are left: {event['left']}"]
    return []
