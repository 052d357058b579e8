"""A campaign against a daemon with batches: what its folders held at each death, and what must be true of that."""

import shutil
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tests.batches import Folder, check_final, check_so_far, read_folder
from tests.crash.batch_clients import BatchLedger, batch_actors
from tests.crash.batch_moments import BOOT_OF_BATCHES, RARE_OF_BATCHES
from tests.crash.campaign import Campaign
from tests.crash.history import Disk
from tests.crash.house import Daemon, House
from tests.crash.moments import BOOT, RARE


class Death(NamedTuple):
    """What one daemon left: its batches by id, the other names in their folder, and the store."""

    batches: dict[str, Folder]
    others: list[str]
    disk: Disk


class BatchCampaign(Campaign):
    ledger: BatchLedger
    boot = (*BOOT, *BOOT_OF_BATCHES)
    rare = (*RARE, *RARE_OF_BATCHES)
    seldom = 3
    cast = staticmethod(batch_actors)

    def __init__(self, house: House, seed: int) -> None:
        super().__init__(house, seed)
        self.ledger = BatchLedger()
        self.deaths: list[Death] = []

    def _note(self, daemon: Daemon, struck: str | None) -> None:
        super()._note(daemon, struck)
        copy = self.house.folder / "spool"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.house.state_dir / "batches", copy)
        self.deaths.append(read_spool(copy, self.lives[-1].disk))


def read_spool(root: Path, disk: Disk) -> Death:
    names = sorted(path.name for path in root.iterdir())
    whole = [name for name in names if is_id(name)]
    return Death({name: read_folder(root / name) for name in whole}, sorted({*names} - {*whole}), disk)


def is_id(name: str) -> bool:
    return len(name) == 36 and set(name) <= set("0123456789abcdef-")


def check_batches(campaign: BatchCampaign) -> None:
    ledger, deaths = campaign.ledger, campaign.deaths
    for number, death in enumerate(deaths):
        for batch_id, folder in death.batches.items():
            text = ledger.sent[folder.status["name"]]
            check_so_far(folder, text, cancelled=batch_id in ledger.cancels)
        check_what_was_answered_is_there(ledger, death, number)
    for before, after in pairwise(deaths):
        check_what_was_there_stays(ledger, before, after)
    check_what_was_followed_is_what_is_there(ledger, deaths)
    check_one_key_is_one_batch(ledger, deaths)
    check_the_end(ledger, deaths[-1])


def check_what_was_answered_is_there(ledger: BatchLedger, death: Death, number: int) -> None:
    for batch_id, name, daemon in ledger.batch_answers:
        if daemon <= number and batch_id not in ledger.deletes:
            assert death.batches[batch_id].status["name"] == name
    for batch_id, daemon in ledger.gone.items():
        assert daemon > number or batch_id not in death.batches, f"{batch_id} was deleted, and is there"
    for view, daemon in ledger.finals:
        if daemon <= number and view["id"] in death.batches:
            status = death.batches[view["id"]].status
            assert [status[name] for name in ("state", "counts")] == [view[name] for name in ("state", "counts")]
            assert datetime.fromisoformat(status["finished_at"]) == datetime.fromisoformat(view["finished_at"])


def check_what_was_there_stays(ledger: BatchLedger, before: Death, after: Death) -> None:
    """Files only grow; a final batch changes no more."""
    for batch_id, old in before.batches.items():
        new = after.batches.get(batch_id)
        if new is None:
            assert batch_id in ledger.deletes, f"{batch_id} has vanished"
            continue
        assert new.output[: len(old.output)] == old.output
        assert new.errors[: len(old.errors)] == old.errors
        if old.final:
            assert new == old


def check_what_was_followed_is_what_is_there(ledger: BatchLedger, deaths: Iterable[Death]) -> None:
    last = {batch_id: folder for death in deaths for batch_id, folder in death.batches.items()}
    assert ledger.followed
    for batch_id, seen in ledger.followed.items():
        assert seen == last[batch_id].results(), batch_id


def check_one_key_is_one_batch(ledger: BatchLedger, deaths: Iterable[Death]) -> None:
    ids: dict[str, set[str]] = {}
    for death in deaths:
        for batch_id, folder in death.batches.items():
            ids.setdefault(folder.status["name"], set()).add(batch_id)
    for batch_id, name, _ in ledger.batch_answers:
        ids.setdefault(name, set()).add(batch_id)
    assert {name: found for name, found in ids.items() if len(found) != 1} == {}
    assert ledger.keyed <= ids.keys()


def check_the_end(ledger: BatchLedger, death: Death) -> None:
    for batch_id, folder in death.batches.items():
        text = ledger.sent[folder.status["name"]]
        check_final(folder, text, cancelled=batch_id in ledger.cancels)
    assert death.others == []
    assert [job for job in death.disk.values() if (job.client or "").startswith("batch:")] == []
