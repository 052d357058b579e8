"""Whether a pool's program works: failed boots in a row, what to say of them, and how long to wait for the next."""

import structlog

from supervisor.core.respawn import LAST_DELAY, SHORT_LIFE, respawn_delay

log = structlog.get_logger("stoker.pool")


class Health:
    """Which places of a pool do not get a working worker. Each has a count of its own: the answers of one place say
    nothing about another."""

    def __init__(self, pool: str) -> None:
        self._pool = pool
        self._failures: dict[int, int] = {}  # by place: lives in a row that came to nothing
        self._lived: dict[int, float] = {}  # seconds of the last of those
        self._reasons: dict[int, str] = {}  # of the places that fail now, the latest last

    @property
    def reason(self) -> str | None:
        """Why the pool is degraded; None while no place is known to fail."""
        return next(reversed(self._reasons.values()), None)

    def failures(self, place: int) -> int:
        return self._failures.get(place, 0)

    def fails(self, place: int) -> bool:
        return place in self._reasons

    def failed(self, place: int, reason: str, lived: float) -> None:
        """A life came to nothing, and that speaks against the program."""
        self.died(place, lived)
        # The first line says how it ended, the last one usually why: what lies between may differ each time.
        if self.reason is None or _gist(reason) != _gist(self.reason):
            log.error("pool_degraded", pool=self._pool, slot=place, reason=reason)
        self._reasons.pop(place, None)
        self._reasons[place] = reason

    def died(self, place: int, lived: float) -> None:
        """A life came to nothing, which is forgiven once."""
        self._failures[place] = self.failures(place) + 1
        self._lived[place] = lived

    def works(self, place: int) -> bool:
        """A job was answered; True when it was not known before that the place works."""
        if not self._failures:
            return False
        self._failures.pop(place, None)
        self._lived.pop(place, None)
        return self.proven(place)

    def proven(self, place: int) -> bool:
        """A worker has lived long enough; but if it dies, its predecessors are not forgotten. Where a place that failed
        works again, the others get their chance too, and nothing is said to be wrong until one of them has had it."""
        if place not in self._reasons:
            return False
        self._reasons.clear()
        log.info("pool_recovered", pool=self._pool)
        return True

    def proof(self, place: int) -> float:
        """Seconds that a worker there must live to be taken for a good one: longer than the last that was none."""
        lived = self._lived.get(place)
        return SHORT_LIFE if lived is None else min(LAST_DELAY, SHORT_LIFE + 2 * lived)

    def delay(self, place: int, jitter: float) -> float:
        """Seconds until the place is filled again."""
        return respawn_delay(self.failures(place), jitter) if self.fails(place) else 0.0


def _gist(reason: str) -> tuple[str, str]:
    lines = reason.splitlines()
    return lines[0], lines[-1]
