"""The waits between attempts that a submit asks for."""

from collections.abc import Sequence

from protocol.control import BackoffParams
from supervisor.config.model import Backoff
from supervisor.config.sections import DELAYS_MAX, FACTOR_MAX
from supervisor.control.durations import check_secs
from supervisor.errors import Invalid


def own_backoff(params: Sequence[float] | BackoffParams) -> Backoff:
    """A list is short for an object with nothing but `delays_secs`. Raises Invalid."""
    if not isinstance(params, BackoffParams):
        return Backoff(delays=_delays("backoff", params))
    jitter = Backoff().jitter if params.jitter is None else params.jitter
    if not 0 <= jitter <= 1:
        raise Invalid(f"backoff.jitter: must be between 0 and 1, got {jitter:g}")
    if params.delays_secs is None:
        return _exponential(params, jitter)
    if (params.base_secs, params.factor, params.cap_secs) != (None, None, None):
        raise Invalid("backoff.delays_secs: not together with base_secs, factor or cap_secs; give one or the other")
    return Backoff(delays=_delays("backoff.delays_secs", params.delays_secs), jitter=jitter)


def _delays(at: str, delays: Sequence[float]) -> tuple[float, ...]:
    if not 1 <= len(delays) <= DELAYS_MAX:
        raise Invalid(f"{at}: must have 1 to {DELAYS_MAX} delays, got {len(delays)}; the last one repeats")
    for place, secs in enumerate(delays):
        check_secs(f"{at}[{place}]", secs, positive=False)
    return tuple(delays)


def _exponential(params: BackoffParams, jitter: float) -> Backoff:
    default = Backoff()
    base = default.base if params.base_secs is None else params.base_secs
    factor = default.factor if params.factor is None else params.factor
    cap = default.cap if params.cap_secs is None else params.cap_secs
    check_secs("backoff.base_secs", base, positive=False)
    check_secs("backoff.cap_secs", cap, positive=False)
    if not 1 <= factor <= FACTOR_MAX:
        raise Invalid(f"backoff.factor: must be between 1 and {FACTOR_MAX}, got {factor:g}")
    if base > cap:
        raise Invalid(f"backoff.base_secs: must be at most cap_secs, which is {cap:g}, got {base:g}")
    return Backoff(base=base, factor=factor, cap=cap, jitter=jitter)
