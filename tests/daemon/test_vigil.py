"""A store that does not answer is told of, and is no reason to start anew."""

import threading
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from supervisor.daemon import vigil as vigil_of
from supervisor.daemon.vigil import Vigil
from supervisor.store.port import Store
from tests.pool.rig import rig
from tests.workers import command


async def test_a_store_that_hangs_is_told_of_with_its_place_and_does_not_stop_the_watchdog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vigil_of, "SILENT", 0.05)
    hangs, go_on = threading.Event(), threading.Event()

    def hang(store: Store) -> None:
        hangs.set()
        assert go_on.wait(30)

    async with rig(command("echo"), folder=tmp_path) as daemon, trio.open_nursery() as nursery:
        vigil = Vigil(
            lambda: daemon.pools,
            daemon.feeder,
            daemon.committer,
            daemon.service.counts,
            every=0.005,
            patience=0.02,
        )
        nursery.start_soon(vigil.run)
        with capture_logs() as logs:
            nursery.start_soon(daemon.committer.read, hang)
            await daemon.until(hangs.is_set)
            await daemon.until(lambda: any(line["event"] == "store_silent" for line in logs))
            assert vigil.silence > 0
            assert vigil.stuck is None
            go_on.set()
            await daemon.until(lambda: any(line["event"] == "store_answers" for line in logs))
        assert vigil.silence == 0.0
        [said] = [line for line in logs if line["event"] == "store_silent"]
        assert "test_vigil.py" in said["store"]
        assert " hang" in said["store"]
        nursery.cancel_scope.cancel()
