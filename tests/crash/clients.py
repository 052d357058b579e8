"""Clients that go on through every crash, and write down what they were told."""

import itertools
import random
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from protocol.client import CallFailed, Client, Disconnected, NoDaemon
from tests.crash.house import PATIENCE
from tests.crash.ledger import Answer, Ledger

QUEUE = "work"
LONG = 3.0  # seconds; of jobs that are ended before
FAR = 3600.0  # seconds; a delay that no run sees the end of


class Lost(Exception):
    """The daemon went before it answered: what was asked for has happened, or not."""


class Line:
    """One client's way to whichever daemon is up. `current` tells that one's number; `over`: none will come."""

    def __init__(self, socket: Path, current: Callable[[], int], over: threading.Event) -> None:
        self._socket = socket
        self._current = current
        self._over = over
        self._client: Client | None = None
        self._daemon = 0

    def ask(self, method: str, **params: Any) -> Answer:
        """Ask once; raises Lost."""
        client = self._client or self._connect()
        try:
            result = client.call(method, params)
        except Disconnected:
            self.close()
            raise Lost from None
        return Answer(result, self._daemon, time.monotonic_ns())

    @property
    def folder(self) -> Path:
        """The house's."""
        return self._socket.parent

    @property
    def daemon(self) -> int:
        """The number of the one that was last asked."""
        return self._daemon

    def follow(self, batch_id: str, n: int) -> Iterator[tuple[int, Any]]:
        """A batch's output from its nth line on with their numbers, until it is final; raises Lost."""
        client = self._client or self._connect()
        try:
            yield from client.batch_output(batch_id, from_line=n, follow=True)
        except Disconnected:
            self.close()
            raise Lost from None

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connect(self) -> Client:
        deadline = time.monotonic() + PATIENCE
        while True:
            number = self._current()
            try:
                client = Client(str(self._socket), timeout=PATIENCE)
            except NoDaemon:
                assert time.monotonic() < deadline and not self._over.is_set(), "no daemon came up"  # noqa: PT018
                time.sleep(0.003)
                continue
            # The number changes only while no daemon lives, so one that is still right was right all the time.
            if number == self._current():
                self._client, self._daemon = client, number
                return client
            client.close()


class Actor(threading.Thread):
    """Does its `turn` again and again until `stopping`; ends what it has begun."""

    def __init__(self, name: str, line: Line, ledger: Ledger, stopping: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self.line = line
        self.ledger = ledger
        self.stopping = stopping
        self.random = random.Random(name)
        self.turns = 0

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                self.turns += 1
                self.turn()
        except Exception:
            self.ledger.troubles.append(f"{self.name}: {traceback.format_exc()}")
            self.stopping.set()
        finally:
            self.line.close()

    def turn(self) -> None:
        raise NotImplementedError

    def insist(self, method: str, **params: Any) -> Answer:
        """Ask until there is an answer."""
        while True:
            try:
                return self.line.ask(method, **params)
            except Lost:
                self.ledger.lost += 1

    def submit(self, payload: Any, **options: Any) -> str:
        """With a key, so that it can be asked for again until it is answered; returns the id."""
        key = f"{self.name}.{self.turns}"
        self.ledger.keys.add(key)
        for attempt in itertools.count():
            try:
                answer = self.line.ask(
                    "submit", queue=QUEUE, payload=payload, client="crash", key=key, tags=[self.name], **options
                )
            except Lost:
                self.ledger.lost += 1
                continue
            [job_id] = self.ledger.accept(answer, [answer.result], [key], first=attempt == 0)
            return job_id
        raise AssertionError

    def see_ended(self, *ids: str) -> None:
        answer = self.insist("wait", ids=list(ids))
        self.ledger.end(answer, answer.result["jobs"])

    def work(self) -> dict[str, Any]:
        """Any payload of a job that ends well, sooner or later."""
        payload: dict[str, Any] = {"sleep": self.random.uniform(0, 0.03), "beat": 0.004}
        if self.random.random() < 0.4:
            payload["halves"] = 0.002
        if self.random.random() < 0.2:
            payload["fails"] = 1
        return payload


class Single(Actor):
    """Submits without a key, and waits for what was accepted."""

    def turn(self) -> None:
        ids = []
        for _ in range(self.random.randint(1, 4)):
            try:
                answer = self.line.ask("submit", queue=QUEUE, payload=self.work())
            except Lost:
                self.ledger.lost += 1
                continue
            ids += self.ledger.accept(answer, [answer.result], [None], first=True)
        if ids:
            self.see_ended(*ids)


class Keyed(Actor):
    """Submits with a key until it is answered, and now and then once more: before the job's end and after it."""

    def turn(self) -> None:
        payload = self.work()
        job_id = self.submit(payload)
        if self.random.random() < 0.5:
            self._again(payload)
        self.see_ended(job_id)
        if self.random.random() < 0.3:
            self._again(payload)

    def _again(self, payload: Any) -> None:
        key = f"{self.name}.{self.turns}"
        answer = self.insist("submit", queue=QUEUE, payload=payload, client="crash", key=key)
        self.ledger.accept(answer, [answer.result], [key], first=False)


class Batch(Actor):
    """Submits many at once, under a tag of their own; all of them or none are there afterwards."""

    def turn(self) -> None:
        tag = f"{self.name}.{self.turns}"
        jobs = [{"queue": QUEUE, "payload": self.work(), "tags": [tag]} for _ in range(self.random.randint(2, 12))]
        self.ledger.batches[tag] = len(jobs)
        try:
            answer = self.line.ask("submit_many", jobs=jobs)
        except Lost:
            self.ledger.lost += 1
            return
        rows = answer.result["jobs"]
        self.see_ended(*self.ledger.accept(answer, rows, [None] * len(rows), first=True))


class Canceller(Actor):
    """Cancels jobs that are too long to end by themselves, mostly while they run."""

    def turn(self) -> None:
        job_id = self.submit({"sleep": LONG, "beat": 0.004})
        try:
            self.line.ask("wait", id=job_id, timeout_secs=self.random.choice([0.001, 0.05, 0.1]))
        except Lost:
            self.ledger.lost += 1
        except CallFailed as refusal:
            assert refusal.code == "timeout", refusal  # noqa: PT017
        answer = self.insist("cancel", id=job_id)
        self.ledger.end(answer, [answer.result])


class Overrunner(Actor):
    """Its jobs run into their timeouts."""

    def turn(self) -> None:
        self.see_ended(self.submit({"sleep": LONG, "beat": 0.004}, timeout_secs=0.03, max_attempts=1))


class Retrier(Actor):
    """Cancels a job before its time, and retries it."""

    def turn(self) -> None:
        job_id = self.submit(self.work(), delay_secs=FAR)
        self.ledger.retried.add(job_id)
        assert self.insist("cancel", id=job_id).result["state"] == "cancelled"
        self.retry(job_id)
        self.see_ended(job_id)

    def retry(self, job_id: str) -> None:
        """Once. A call that was lost may have been carried out, and the job have begun, and failed with its daemon: it
        would begin a second time if that were retried."""
        while True:
            try:
                self.line.ask("retry", id=job_id)
                return
            except Lost:
                self.ledger.lost += 1
            if self.insist("get", id=job_id).result["state"] != "cancelled":
                return


CAST: tuple[tuple[type[Actor], int], ...] = (
    (Single, 2),
    (Keyed, 2),
    (Batch, 1),
    (Canceller, 2),
    (Overrunner, 1),
    (Retrier, 1),
)


def actors(line: Callable[[], Line], ledger: Ledger, stopping: threading.Event) -> list[Actor]:
    return [
        kind(f"{kind.__name__.lower()}{number}", line(), ledger, stopping)
        for kind, count in CAST
        for number in range(count)
    ]
