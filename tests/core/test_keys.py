"""What is remembered of keys."""

from supervisor.config.model import NANOS, QueueConfig, Rate
from supervisor.core.keys import SWEEP_AT, Keys, lane_of

HOUR = 3600 * NANOS


def test_however_many_keys_there_are_none_begins_more_often_than_its_rate_allows() -> None:
    """Those that were used up long ago are forgotten, and only those."""
    keys = Keys(QueueConfig(name="q", rate_per_key=Rate(count=1, period=HOUR)), 0)
    for number in range(SWEEP_AT):
        keys.enter(lane_of(f"early-{number}", None), HOUR)
    for number in range(2 * SWEEP_AT):
        keys.enter(lane_of(f"late-{number}", None), 2 * HOUR)
    for number in range(2 * SWEEP_AT):
        assert keys.opens_at(f"late-{number}", None, 2 * HOUR) == 3 * HOUR
    assert keys.opens_at("early-0", None, 2 * HOUR) == 2 * HOUR
    assert len(keys._buckets) == 2 * SWEEP_AT
