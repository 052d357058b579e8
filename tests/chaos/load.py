"""The clients of a chaos run: they submit scripts, cancel some of them, and hold every ending against its script."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from protocol.client import Client
from tests.chaos.check import Diary, problems
from tests.chaos.script import Script, Scripts
from tests.chaos.tally import Tally

BATCH = 10  # jobs
WAVE = 8.0  # seconds from flood to flood, of a queue that has tides
FLOOD = 5.0  # seconds of each in which jobs are submitted


class Author(threading.Thread):
    """One client of one queue. It waits for the end of each batch before the next, and rests while `calm` is set."""

    def __init__(
        self,
        connect: Callable[[], Client],
        queue: str,
        scripts: Scripts,
        tally: Tally,
        runs: Path,
        *,
        rate: float,
        tides: bool,
    ) -> None:
        super().__init__(name=f"author of {queue}")
        self._resting = threading.Event()
        self._connect = connect
        self._queue = queue
        self._scripts = scripts
        self._tally = tally
        self._runs = runs
        self._rate = rate
        self._tides = tides
        self._calm = threading.Event()
        self._over = threading.Event()

    def rest(self) -> None:
        """After the batch in hand; then it is `idle`."""
        self._calm.set()

    @property
    def idle(self) -> bool:
        return self._resting.is_set() or not self.is_alive()

    def go_on(self) -> None:
        self._resting.clear()
        self._calm.clear()

    def stop(self) -> None:
        self._over.set()

    def run(self) -> None:
        try:
            with self._connect() as client, self._connect() as other:
                while not self._over.is_set() and not self._tally.hopeless:
                    if self._calm.is_set():
                        self._resting.set()
                        self._over.wait(0.02)
                    else:
                        self._write(client, other)
        except Exception as error:
            self._tally.give_up(f"{self.name}: {error!r}")

    def _write(self, client: Client, other: Client) -> None:
        began = time.monotonic()
        if not self._tides or began % WAVE < FLOOD:
            self._batch(client, other)
        left = began + BATCH / self._rate - time.monotonic()
        if left > 0:
            self._over.wait(left)

    def _batch(self, client: Client, other: Client) -> None:
        scripts = [self._scripts.next() for _ in range(BATCH)]
        ids = [job["id"] for job in client.submit_many([script.job(self._queue) for script in scripts])]
        client.send("wait", {"ids": ids})
        answers = self._cancel(other, scripts, ids)
        jobs = client.receive()[1]["jobs"]
        for script, job in zip(scripts, jobs, strict=True):
            path = self._runs / script.key
            diary = Diary.read(path)
            path.unlink(missing_ok=True)
            self._tally.trouble(*problems(script, job, diary))
            if answers.get(job["id"], job) != job:
                self._tally.trouble(f"{script.key}: its cancel was answered with {answers[job['id']]}, not {job}")
            self._tally.ended(script, job, diary)

    def _cancel(self, client: Client, scripts: list[Script], ids: list[str]) -> dict[str, dict[str, Any]]:
        """Each at its time; what was answered, by id."""
        began = time.monotonic()
        chosen = [(script.cancel_after, job) for script, job in zip(scripts, ids, strict=True)]
        due = sorted((after, job) for after, job in chosen if after is not None)
        for after, job in due:
            time.sleep(max(0.0, began + after - time.monotonic()))
            client.send("cancel", {"id": job})
        return {job["id"]: job for job in (client.receive()[1] for _ in due)}
