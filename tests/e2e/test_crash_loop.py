"""A program that exits at once: it costs next to nothing, loses no job, and when it is mended nobody has to be told."""

import time
from pathlib import Path
from typing import Any

import pytest

from protocol.client import Client
from supervisor.core.respawn import LAST_DELAY
from tests.e2e.conftest import Start
from tests.e2e.daemon import TICK, Daemon, until

JOBS = 100
BROKEN = "#!/bin/sh\necho 'cannot reach the licence server' >&2\nexit 3\n"
MENDED = """#!/bin/sh
while IFS= read -r request; do
    id=${request#'{"id":"'}; id=${id%%'"'*}
    printf '{"id":"%s","status":"ok","result":"at last"}\\n' "$id"
done
"""


def write(program: Path, text: str) -> None:
    """As a deployment does: whoever starts it meanwhile gets the old one or the new one, whole."""
    new = program.with_name("new")
    new.write_text(text)
    new.chmod(0o755)
    new.rename(program)


def pool(client: Client) -> dict[str, Any]:
    [found] = client.pools("p")
    return found


def whole_cpu(daemon: Daemon) -> float:
    """Seconds of processor time so far of the daemon and of every worker that has come to its end."""
    fields = Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICK


def start_broken(start: Start, program: Path, size: int) -> tuple[Daemon, list[str]]:
    write(program, BROKEN)
    daemon = start({"p": {"command": [str(program)], "size": size}})
    with daemon.client() as client:
        ids = [job["id"] for job in client.submit_many([{"queue": "p", "payload": None}] * JOBS)]
    return daemon, ids


def look(client: Client) -> None:
    """The pool says what is wrong, and no job has been charged for it."""
    found = pool(client)
    assert found["state"] == "degraded"
    assert "exited with code 3" in found["reason"]
    assert "cannot reach the licence server" in found["reason"]
    for job in client.list(queue="p", limit=JOBS, full=True)["jobs"]:
        assert (job["charged"], job["crashes"], job["attempts"]) == (0, 0, [])
        assert job["state"] in ("pending", "running")


def mend(daemon: Daemon, program: Path, ids: list[str]) -> float:
    """Seconds until every job was done; by the same daemon."""
    pid = daemon.pid
    with daemon.client() as client:
        write(program, MENDED)
        began = time.monotonic()
        jobs = client.wait_all(ids, timeout_secs=2 * LAST_DELAY)
        took = time.monotonic() - began
        assert {(job["state"], job["result"], job["charged"], job["crashes"]) for job in jobs} == {
            ("done", "at last", 0, 0)
        }
        assert pool(client)["state"] == "ready"
        assert pool(client)["reason"] is None
        assert client.status()["pid"] == pid
    return took


@pytest.mark.provokes("dies at boot", "respawn backoff")
def test_a_program_that_exits_at_once_loses_no_job_and_comes_back_when_its_file_is_mended(
    start: Start, tmp_path: Path
) -> None:
    daemon, ids = start_broken(start, tmp_path / "program", size=2)
    with daemon.client() as client:
        until(lambda: pool(client)["spawned"] >= 4, "four attempts to start it")
        look(client)
    assert mend(daemon, tmp_path / "program", ids) < LAST_DELAY


@pytest.mark.long
@pytest.mark.provokes("dies at boot", "respawn backoff")
def test_a_program_that_exits_at_once_uses_less_than_a_hundredth_of_a_core(start: Start, tmp_path: Path) -> None:
    """The first minute is the worst: afterwards the pause has its full length. Both count, the daemon with all its
    threads and what it starts; but not the daemon's own start, which would be the same with any program."""
    daemon, ids = start_broken(start, tmp_path / "program", size=4)
    began, cpu, own = time.monotonic(), whole_cpu(daemon), daemon.cpu()
    time.sleep(60)
    secs = time.monotonic() - began
    used, by_daemon = (whole_cpu(daemon) - cpu) / secs, (daemon.cpu() - own) / secs
    with daemon.client() as client:
        spawned = pool(client)["spawned"]
        look(client)
    took = mend(daemon, tmp_path / "program", ids)
    print(
        f"{used:.3%} of a core, {by_daemon:.3%} by the daemon itself, {spawned} starts; {took:.1f} s until all was done"
    )
    assert used < 0.01
    assert took < LAST_DELAY + 2  # and the time to do them
