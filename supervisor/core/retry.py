"""When a failed attempt is repeated."""

from supervisor.config.model import Backoff


def backoff(policy: Backoff, charged: int, jitter: float) -> float:
    """Seconds to wait after the `charged`-th spent attempt (1, 2, …).

    From the list of delays, or exponential with a cap: `min(cap, base * factor ** (charged - 1))`. Then spread:
    `* (1 ± policy.jitter)`; `jitter` in [0, 1) chooses the place in the spread (0.5: the middle). The spread keeps a
    thousand jobs that failed together from coming back together.
    """
    return _wait(policy, max(1, charged)) * (1 + policy.jitter * (2 * jitter - 1))


def _wait(policy: Backoff, charged: int) -> float:
    if policy.delays is not None:
        return policy.delays[min(charged, len(policy.delays)) - 1]
    try:
        return min(policy.cap, policy.base * policy.factor ** (charged - 1))
    except OverflowError:  # factor ** 10000
        return policy.cap
