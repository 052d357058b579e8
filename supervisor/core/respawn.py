"""When a dead child's place is filled again.

A child that has answered something has proved its program; its place is filled at once however it died. Only lives
that answered nothing count as failed boots, and only those wait.
"""

SHORT_LIFE = 1.0  # seconds
FIRST_DELAY = 0.25
LAST_DELAY = 30.0
SPREAD = 0.25


def failed_boot(*, ready: bool, answered: bool, took_job: bool, unread: bool, lived: float, failures: int) -> bool:
    """Whether a life that ended by itself speaks against the program.

    `ready`: it could be given work, and `lived` so many seconds from then on. `took_job`: it died with a request in
    hand, of which nothing had been read if `unread`. `failures`: earlier failed boots in a row. An idle child that
    lived a second and died is forgiven once: it may have been killed from outside.
    """
    if not ready:
        return True
    if answered:
        return False
    if took_job:
        return unread
    return lived < SHORT_LIFE or failures > 0


def respawn_delay(failures: int, jitter: float) -> float:
    """Seconds to wait after that many failed boots in a row (0: none); doubles up to a cap, spread by `jitter` in
    [0, 1) so that the slots of a pool do not boot in step."""
    if failures <= 0:
        return 0.0
    wait: float = min(LAST_DELAY, FIRST_DELAY * 2 ** min(failures - 1, 16))
    return wait * (1 - SPREAD * jitter)
