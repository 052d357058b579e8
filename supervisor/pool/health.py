"""Whether a pool's program works: failed boots in a row, what to say of them, and how long to wait for the next."""

import shlex

import structlog

from supervisor.core.respawn import respawn_delay

COMMAND = 200  # characters of it in a reason
LINES, CHARACTERS = 12, 1000  # of stderr in a reason: a traceback's end, and no flood

log = structlog.get_logger("stoker.pool")


class Health:
    """`reason`: why the pool is degraded; None while its program works, or nothing else is known."""

    def __init__(self, pool: str) -> None:
        self.reason: str | None = None
        self.failures = 0  # failed boots in a row
        self._pool = pool

    def works(self) -> None:
        self.failures = 0
        if self.reason is not None:
            self.reason = None
            log.info("pool_recovered", pool=self._pool)

    def boot_failed(self, reason: str) -> None:
        self.failures += 1
        # The first line says how it ended, the last one usually why: what lies between may differ each time.
        if self.reason is None or _gist(reason) != _gist(self.reason):
            log.error("pool_degraded", pool=self._pool, reason=reason)
        self.reason = reason

    def delay(self, jitter: float) -> float:
        """Seconds until a place is filled again."""
        return respawn_delay(self.failures, jitter)


def in_full(reason: str, command: tuple[str, ...], stderr: str | None) -> str:
    """Why a worker did not come up, with the program and the last it said: all of that is in the log."""
    said = shlex.join(command).replace("\n", " ")
    if len(said) > COMMAND:
        said = said[: COMMAND - 1] + "…"
    if not stderr:
        return f"{reason} (command: {said})"
    last = "\n".join(stderr.splitlines()[-LINES:])[-CHARACTERS:]
    return f"{reason} (command: {said}); its stderr ends:\n{last}"


def _gist(reason: str) -> tuple[str, str]:
    lines = reason.splitlines()
    return lines[0], lines[-1]
