"""Nothing is lost, nothing happens twice at once: a real daemon, killed at any moment and at every chosen one."""

import pytest

from tests.crash.campaign import ANY, Campaign, timed
from tests.crash.checks import check_all
from tests.crash.clients import QUEUE
from tests.crash.conftest import Build
from tests.crash.house import House
from tests.crash.moments import MOMENTS, OF_CLAIMS_THAT_COME_FIRST
from tests.workers import command, wrapped

OFTEN = 5
KINDS = {"plain": command("marker"), "wrapped": wrapped("marker")}
# A plain worker dies with its daemon: there is nobody whom the next start could end half.
ONLY_WRAPPED = {"previous half ended"}
ANYWHERE = [moment for moment in MOMENTS if moment not in OF_CLAIMS_THAT_COME_FIRST]


def house_of(build: Build, kind: str) -> House:
    pool = {"command": KINDS[kind], "size": 4, "boot_timeout": "1s"}
    return build({QUEUE: pool}, queue={"backoff": {"base": "20ms", "cap": "50ms"}})


def moments(kind: str) -> list[str]:
    return [ANY, *(moment for moment in ANYWHERE if kind == "wrapped" or moment not in ONLY_WRAPPED)]


def check(campaign: Campaign, plan: list[str]) -> None:
    history, summary = timed(campaign, plan)
    print(summary)
    check_all(history)
    assert campaign.house.records() == []
    assert campaign.house.processes() == []


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.provokes("daemon killed", program="marker.py")
def test_killed_at_every_moment_nothing_is_lost_and_nothing_overlaps(build: Build, kind: str) -> None:
    campaign = Campaign(house_of(build, kind), seed=1)
    check(campaign, moments(kind) * OFTEN)
    assert sum(campaign.hits.values()) >= 50
    assert {moment: campaign.hits[moment] for moment in moments(kind)} == dict.fromkeys(moments(kind), OFTEN)
    if kind == "wrapped":
        # Without any, the clean-up at the start would not have been tried at all.
        assert sum(life.leftovers for life in campaign.lives)


@pytest.mark.parametrize(
    ("kind", "plan"),
    [
        ("plain", ["request written", "after commit", ANY]),
        ("wrapped", ["claim recorded", "half a reply", "recovering"]),
    ],
)
@pytest.mark.provokes("daemon killed", program="marker.py")
def test_killed_a_few_times_nothing_is_lost_and_nothing_overlaps(build: Build, kind: str, plan: list[str]) -> None:
    check(Campaign(house_of(build, kind), seed=2), plan)
