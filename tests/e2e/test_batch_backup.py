"""A backup is of the store, in which a batch has no more than the jobs of the moment: what becomes of batches when one
is restored goes by their folders."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.batches import MAX_PAYLOAD, WORKER
from tests.e2e.batching import check_whole, completed, contents, final, folder, jobs_of, look, rows, send
from tests.e2e.conftest import Start
from tests.e2e.daemon import until
from tests.e2e.test_backup import back_up, stoker

POOLS: dict[str, Any] = {"p": {"command": WORKER, "size": 2, "queues": ["q"]}}
QUEUES = {"q": {"max_payload": MAX_PAYLOAD}}
TEXT = rows(800, secs=0.002)


@pytest.mark.long
def test_restored_in_its_place_batches_go_on_from_what_their_folders_have(start: Start, tmp_path: Path) -> None:
    """One that was half done and is further now, one that has ended since, one that was deleted, and one that the copy
    has never seen."""
    daemon = start(POOLS, QUEUES)
    with daemon.client() as client:
        gone, ended = send(client, rows(100)), send(client, rows(100))
        half = send(client, TEXT)
        completed(client, half, 20)
        back_up(daemon, tmp_path / "copy")
        final(client, gone)
        final(client, ended)
        client.batch_delete(gone)
        completed(client, half, 100)
        later = send(client, TEXT)
        completed(client, later, 5)
    daemon.stop()
    before = contents(daemon, half)
    stoker("restore", tmp_path / "copy", "-c", daemon._config)
    daemon.start()
    with daemon.client() as client:
        check_whole(client, daemon, half, TEXT)
        check_whole(client, daemon, later, TEXT)
        check_whole(client, daemon, ended, rows(100))
        assert contents(daemon, half).output[: len(before.output)] == before.output
        until(lambda: jobs_of(client, gone) == 0, "the jobs of a batch that is no more to go")


@pytest.mark.long
def test_restored_elsewhere_without_its_folder_a_batch_leaves_no_jobs_that_nobody_collects(
    start: Start, tmp_path: Path
) -> None:
    daemon, other = start(POOLS, QUEUES), start(POOLS, QUEUES)
    with daemon.client() as client:
        batch_id = send(client, TEXT)
        completed(client, batch_id, 20)
        client.pause("q")  # so that there are jobs of it in the copy
        until(lambda: jobs_of(client, batch_id), "its jobs")
        own = client.submit("q", {"n": 7})["id"]
        back_up(daemon, tmp_path / "copy")
        client.resume("q")
        check_whole(client, daemon, batch_id, TEXT)
    other.stop()
    stoker("restore", tmp_path / "copy", "-c", other._config)
    other.start()
    with other.client() as client:
        until(lambda: jobs_of(client, batch_id) == 0, "the jobs of a batch that is not here to go")
        assert client.batch_list()["batches"] == []
        client.resume("q")
        assert client.wait(own)["state"] == "done"


@pytest.mark.long
def test_restored_together_with_its_folder_a_batch_goes_on_elsewhere(start: Start, tmp_path: Path) -> None:
    daemon, other = start(POOLS, QUEUES), start(POOLS, QUEUES)
    with daemon.client() as client:
        batch_id = send(client, TEXT)
        completed(client, batch_id, 100)
        back_up(daemon, tmp_path / "copy")
    daemon.kill()
    other.stop()
    stoker("restore", tmp_path / "copy", "-c", other._config)
    shutil.rmtree(other.state / "batches", ignore_errors=True)
    shutil.copytree(daemon.state / "batches", other.state / "batches")
    other.start()
    with other.client() as client:
        assert look(client, batch_id)["folder"] == str(folder(other, batch_id))
        check_whole(client, other, batch_id, TEXT)
