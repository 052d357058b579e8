"""What a chaos run has left behind, when all its jobs have ended and the pools are as they were."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from protocol.client import Client
from supervisor.pool import procfs
from tests.chaos.outside import descriptors
from tests.chaos.tally import Tally
from tests.crash.house import Daemon, House, until
from tests.e2e.daemon import children


class Before(NamedTuple):
    descriptors: int
    files: set[str]  # of the state folder, but for the workers on record

    @classmethod
    def of(cls, house: House, daemon: Daemon, *, clients: int) -> "Before":
        """While so many are connected, who will have gone when it is looked at again."""
        return cls(descriptors(daemon.pid) - clients, _files(house.state_dir))


def leftovers(
    house: House, daemon: Daemon, before: Before, sizes: dict[str, int], tally: Tally, empty: Sequence[Path]
) -> Iterator[str]:
    """Sentences; none of a run that cleaned up after itself. `sizes`: workers of each pool; `empty`: folders in which
    no file may be left. It stops the daemon."""
    pid = daemon.pid
    with house.client() as client:
        yield from _soon("every place is filled", lambda: _idle(client) == sizes, lambda: _idle(client))
    yield from _soon(
        "the daemon's descriptors",
        lambda: descriptors(pid) <= before.descriptors,
        lambda: f"{descriptors(pid)}, {before.descriptors} before",
    )
    yield from _soon("no worker is a zombie", lambda: not _zombies(pid), lambda: _zombies(pid))
    yield from _soon(
        "no process but the workers",
        lambda: {*house.processes()} == {pid, *(child.pid for child in children(pid))},
        lambda: f"{house.processes()}, workers {[child.pid for child in children(pid)]}",
    )
    yield from _soon("no grandchild", lambda: not _living(tally.children), lambda: _living(tally.children))
    yield from _soon(
        "the workers on record are those there are",
        lambda: len(house.records()) == sum(sizes.values()),
        house.records,
    )
    yield from (f"files in the state folder: {name}" for name in sorted(_files(house.state_dir) ^ before.files))
    yield from (f"a file is left: {file}" for folder in empty for file in folder.rglob("*"))
    yield from _changed(house, tally)
    yield from _stopped(house, daemon)


def _stopped(house: House, daemon: Daemon) -> Iterator[str]:
    daemon.process.terminate()
    if code := daemon.exit_code():
        yield f"the daemon exited with code {code}"
    if found := house.processes():
        yield f"processes after the daemon's end: {found}"
    if records := house.records():
        yield f"workers on record after the daemon's end: {records}"


def _changed(house: House, tally: Tally) -> Iterator[str]:
    """A final state never changes, and no job has two."""
    found: dict[str, tuple[str, str, int]] = {}
    cursor: dict[str, Any] = {}
    with house.client() as client:
        while True:
            page = client.list(limit=200, **cursor)
            found |= {job["id"]: (job["state"], job["finished_at"], job["attempt"]) for job in page["jobs"]}
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
    for job, ending in tally.endings.items():
        if found.get(job) != ending:
            yield f"job {job} ended {ending}, and is now {found.get(job)}"


def _idle(client: Client) -> dict[str, int]:
    return {pool["pool"]: pool["idle"] for pool in client.pools() if pool["idle"] == pool["size"]}


def _zombies(pid: int) -> list[int]:
    return [child.pid for child in children(pid) if child.state == "Z"]


def _living(marks: Sequence[str]) -> list[str]:
    """Of processes given as "pid start time"."""
    return [mark for mark in marks if _lives(*map(int, mark.split()))]


def _lives(pid: int, started: int) -> bool:
    found = procfs.stat(pid)
    return found is not None and found.started == started and found.state not in "ZX"


def _files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.parent.name != "children"
    }


def _soon(what: str, true: Callable[[], bool], found: Callable[[], object]) -> Iterator[str]:
    try:
        until(true, what)
    except AssertionError:
        yield f"not so: {what}: {found()}"
