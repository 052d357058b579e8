"""When a failed attempt is repeated."""

from supervisor.config.model import Backoff


def backoff(policy: Backoff, charged: int, jitter: float) -> float:
    """Seconds to wait after the `charged`-th spent attempt (1, 2, …).

    Exponential with a cap, then spread: `min(cap, base * factor ** (charged - 1)) * (1 ± policy.jitter)`; `jitter` in
    [0, 1) chooses the place in the spread (0.5: the middle). The spread keeps a thousand jobs that failed together
    from coming back together.
    """
    try:
        wait = min(policy.cap, policy.base * policy.factor ** max(0, charged - 1))
    except OverflowError:  # factor ** 10000
        wait = policy.cap
    return wait * (1 + policy.jitter * (2 * jitter - 1))
