"""Batches: exactly one record for each line, after any number of kills at any moment and at every chosen one."""

import time
from collections import Counter

import pytest

from tests.batches import MAX_PAYLOAD, WORKER
from tests.crash.batch_campaign import BatchCampaign, check_batches
from tests.crash.batch_moments import BATCH_MOMENTS
from tests.crash.campaign import ANY
from tests.crash.clients import QUEUE
from tests.crash.conftest import Build
from tests.crash.house import House

NONE = {"done": "1s", "failed": "1s", "max_done": 0, "max_failed": 0, "max_cancelled": 0}
QUICK = {"backoff": {"base": "10ms", "cap": "20ms"}, "max_payload": MAX_PAYLOAD}


def house_of(build: Build, **queue: object) -> House:
    return build({QUEUE: {"command": WORKER, "size": 4}}, queue={**QUICK, **queue})


def check(campaign: BatchCampaign, plan: list[str]) -> None:
    began = time.monotonic()
    campaign.run(plan)
    print(summary(campaign, time.monotonic() - began))
    check_batches(campaign)
    assert campaign.house.records() == []
    assert campaign.house.processes() == []


def summary(campaign: BatchCampaign, seconds: float) -> str:
    last = campaign.deaths[-1].batches.values()
    states = Counter(folder.status["state"] for folder in last)
    lines = sum(folder.status["counts"]["total"] for folder in last)
    return (
        f"{sum(campaign.hits.values())} kills in {seconds:.0f} s, {len(campaign.deaths)} daemons; "
        f"{len(campaign.ledger.sent)} batches sent, {dict(states)} with {lines} lines left, "
        f"{len(campaign.ledger.gone)} deleted; {campaign.ledger.lost} requests lost; {dict(campaign.hits)}"
    )


@pytest.mark.long
def test_killed_at_every_moment_each_line_has_exactly_one_record(build: Build) -> None:
    """Half of the kills are at any moment. Nothing is kept of the jobs that have ended, so that a record that is not on
    disk in time is lost."""
    campaign = BatchCampaign(house_of(build, retention=NONE), seed=1)
    plan = [*BATCH_MOMENTS, *[ANY] * len(BATCH_MOMENTS)]
    assert len(plan) >= 30
    check(campaign, plan)
    assert campaign.hits == Counter(plan)


@pytest.mark.parametrize("plan", [[ANY, ANY, "answers on disk"]])
def test_killed_a_few_times_each_line_has_exactly_one_record(build: Build, plan: list[str]) -> None:
    check(BatchCampaign(house_of(build), seed=2), plan)
