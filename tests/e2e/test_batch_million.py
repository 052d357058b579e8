"""A batch of a million lines: it begins at once, the daemon stays small, and nobody else waits for it."""

import json
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from protocol.client import Client
from tests.e2e.batching import completed, folder, jobs_of, look
from tests.e2e.conftest import Start
from tests.e2e.daemon import Daemon, until
from tests.pool.rig import python

MEGABYTE = 1_000_000
# What grows rightly: SQLite's caches to their full size (10 MB), the look-ahead, and the window of the batch itself
# with its records. The lines alone are 40 MB, and 300 bytes for each of them would be 300.
MAY_GROW = 60 * MEGABYTE
SECOND = 1.0
HARDLY = 0.25  # seconds; what a job of somebody else may take at the median beside a batch. Alone it is 0.005.

# echo, which says first when it began.
WORKER = python(
    "import json, os, sys",
    "for line in sys.stdin:",
    "    if not os.path.exists(os.environ['BEGUN']): open(os.environ['BEGUN'], 'x').close()",
    "    request = json.loads(line)",
    "    print(json.dumps({'id': request['id'], 'status': 'ok', 'result': request['payload']}), flush=True)",
)


def write_input(path: Path, lines: int) -> None:
    with path.open("w") as file:
        for number in range(lines):
            file.write(f'{{"custom_id":"row-{number}","n":{number}}}\n')


class Latencies:
    """Of jobs of a person, one after the other: in a queue beside the batch's, and in its own."""

    def __init__(self, daemon: Daemon) -> None:
        self.took: dict[str, list[float]] = {"beside": [], "q": []}
        self.memory = 0
        self._daemon = daemon
        self._over = threading.Event()

    @contextmanager
    def measured(self) -> Iterator[None]:
        thread = threading.Thread(target=self._work)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _work(self) -> None:
        with self._daemon.client() as client:
            while not self._over.is_set():
                for queue, took in self.took.items():
                    began = time.perf_counter()
                    assert client.wait(client.submit(queue, 1)["id"])["state"] == "done"
                    took.append(time.perf_counter() - began)
                self.memory = max(self.memory, self._daemon.memory())
                self._over.wait(0.05)


def check_output(path: Path, lines: int) -> None:
    """One record for each line, with its own result."""
    seen = bytearray(lines + 1)
    with path.open("rb") as file:
        for row in file:
            record = json.loads(row)
            number = record["line"]
            name = f"row-{number - 1}"
            assert record == {
                "line": number,
                "custom_id": name,
                "result": {"custom_id": name, "n": number - 1},
            }
            assert not seen[number], f"line {number} is there twice"
            seen[number] = 1
    assert sum(seen) == lines


def first_begins(client: Client, begun: Path, batch_id: str) -> float:
    """By the wall clock."""
    completed(client, batch_id, 1)
    return begun.stat().st_mtime


@pytest.mark.parametrize("lines", [20_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_a_batch_begins_at_once_stays_small_in_memory_and_lets_others_through(
    start: Start, tmp_path: Path, lines: int
) -> None:
    begun = tmp_path / "begun"
    pools = {"p": {"command": WORKER, "size": 3, "queues": ["q", "beside"], "env": {"BEGUN": str(begun)}}}
    daemon = start(pools)
    text = tmp_path / "input"
    write_input(text, lines)
    with daemon.client(timeout=None) as client:
        until(lambda: client.pools("p")[0]["idle"] == 3, "the workers")
        before = daemon.memory()
        asked, began = time.time(), time.monotonic()
        batch = client.call("batch_submit", {"queue": "q", "path": str(text)})
        answered = time.time()
        others = Latencies(daemon)
        first = first_begins(client, begun, batch["id"])
        with others.measured():
            until(lambda: look(client, batch["id"])["state"] == "completed", "its end", 900)
        took = time.monotonic() - began
        until(lambda: jobs_of(client, batch["id"]) == 0, "its jobs to be deleted")
    check_output(folder(daemon, batch["id"]) / "output.jsonl", lines)
    grown = others.memory - before
    print(
        f"{lines} lines in {took:.1f} s, answered after {answered - asked:.2f} s, "
        f"the first job after {first - asked:.2f} s; {before / 1e6:.0f} MB before, {grown / 1e6:+.0f} MB"
    )
    for queue, found in others.took.items():
        median, worst = statistics.median(found) * 1000, max(found) * 1000
        print(f"{len(found)} jobs in {queue}: median {median:.0f} ms, longest {worst:.0f} ms")
        assert statistics.median(found) < HARDLY
        assert max(found) < SECOND
    assert first - answered < SECOND
    assert grown < MAY_GROW
