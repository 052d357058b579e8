"""Clients with batches that go on through every crash, and write down what they were told."""

import base64
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from protocol.client import CallFailed
from tests.batches import FINAL, Record, compose
from tests.crash.clients import QUEUE, Actor, Line, Lost
from tests.crash.house import PATIENCE
from tests.crash.ledger import Answer, Ledger

PART = 16 * 1024  # bytes of a streamed input that go at once
LOOK = 0.02  # seconds between two looks at a batch


class Told(NamedTuple):
    """What a client was told of a batch that is final."""

    view: dict[str, Any]
    daemon: int


class BatchLedger(Ledger):
    """Batches have a name of their own each, by which one is known whose submit was never answered."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, bytes] = {}  # by name
        self.keyed: set[str] = set()  # the names that were submitted until there was an answer
        self.cancels: set[str] = set()  # ids that somebody asked to cancel, answered or not
        self.deletes: set[str] = set()  # ids that somebody asked to delete, answered or not
        self.batch_answers: list[tuple[str, str, int]] = []  # a submit's answer: id, name, the daemon's number
        self.finals: list[Told] = []
        self.gone: dict[str, int] = {}  # by id, the daemon that said so
        self.followed: dict[str, list[Record]] = {}  # by id: its output as a follower saw it


class BatchActor(Actor):
    ledger: BatchLedger

    def compose(self, lines: int, secs: float = 0.002) -> tuple[str, bytes]:
        """A name, and an input."""
        name = f"{self.name}.{self.turns}"
        text = compose(self.random, lines, secs=secs)
        self.ledger.sent[name] = text
        return name, text

    def submit_batch(self, name: str, send: Callable[[dict[str, Any]], Answer]) -> str:
        """Until it is answered; with a key."""
        self.ledger.keyed.add(name)
        while True:
            try:
                answer = send({"queue": QUEUE, "name": name, "client": "crash", "key": name})
            except Lost:
                self.ledger.lost += 1
                continue
            return self.accept(answer, name)

    def accept(self, answer: Answer, name: str) -> str:
        batch_id = str(answer.result["id"])
        self.ledger.batch_answers.append((batch_id, name, answer.daemon))
        return batch_id

    def stream(self, text: bytes, options: dict[str, Any]) -> Answer:
        """In parts; raises Lost."""
        parts = [text[at : at + PART] for at in range(0, len(text), PART)] or [b""]
        answer = self._part(parts[0], options, more=len(parts) > 1)
        for number, part in enumerate(parts[1:], 2):
            if answer.result["state"] != "receiving":
                break  # there is an earlier one with its key
            answer = self._part(part, {"batch": answer.result["id"]}, more=number < len(parts))
        return answer

    def _part(self, part: bytes, options: dict[str, Any], *, more: bool) -> Answer:
        return self.line.ask("batch_submit", **options, base64=base64.b64encode(part).decode(), more=more)

    def see_final(self, batch_id: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while (answer := self.insist("batch_get", id=batch_id)).result["state"] not in FINAL:
            assert time.monotonic() < deadline, f"it does not end: {answer.result}"
            time.sleep(LOOK)
        self.ledger.finals.append(Told(answer.result, answer.daemon))

    def delete_batch(self, batch_id: str) -> None:
        self.ledger.deletes.add(batch_id)
        while True:
            try:
                answer = self.line.ask("batch_delete", id=batch_id)
            except Lost:
                self.ledger.lost += 1
                continue
            except CallFailed as refusal:
                assert refusal.code == "not_found", refusal  # noqa: PT017 - one that was lost was carried out
                answer = Answer(None, self.line.daemon, 0)
            self.ledger.gone[batch_id] = answer.daemon
            return


class Streamer(BatchActor):
    """Sends its input in parts; deletes some of what is done."""

    def turn(self) -> None:
        name, text = self.compose(self.random.randint(20, 800))
        batch_id = self.submit_batch(name, lambda options: self.stream(text, options))
        self.see_final(batch_id)
        if self.random.random() < 0.5:
            self.delete_batch(batch_id)


class Keyless(BatchActor):
    """Streams without a key: what it got no answer for is there whole, or not at all."""

    def turn(self) -> None:
        name, text = self.compose(self.random.randint(20, 600))
        try:
            answer = self.stream(text, {"queue": QUEUE, "name": name})
        except Lost:
            self.ledger.lost += 1
            return
        self.see_final(self.accept(answer, name))


class Pather(BatchActor):
    """Names a file; follows the output, from where it was after each crash."""

    def turn(self) -> None:
        name, text = self.compose(self.random.randint(20, 400))
        path = Path(self.line.folder / f"input.{name}")
        path.write_bytes(text)
        batch_id = self.submit_batch(
            name, lambda options: self.line.ask("batch_submit", **options, path=str(path.absolute()))
        )
        path.unlink()
        self.follow(batch_id)
        self.see_final(batch_id)

    def follow(self, batch_id: str) -> None:
        seen = self.ledger.followed.setdefault(batch_id, [])
        while True:
            try:
                for n, record in self.line.follow(batch_id, len(seen) + 1):
                    assert n == len(seen) + 1
                    seen.append(record)
                return
            except Lost:
                self.ledger.lost += 1


class BatchCanceller(BatchActor):
    """Cancels batches that are too long to end by themselves, some before anything has begun."""

    def turn(self) -> None:
        name, text = self.compose(self.random.randint(60, 400), secs=0.5)
        batch_id = self.submit_batch(name, lambda options: self.stream(text, options))
        wanted = self.random.choice([0, 1, 20])
        while self._completed(batch_id) < wanted:
            time.sleep(LOOK)
        self.ledger.cancels.add(batch_id)
        answer = self.insist("batch_cancel", id=batch_id)
        self.ledger.finals.append(Told(answer.result, answer.daemon))
        if self.random.random() < 0.3:
            self.delete_batch(batch_id)

    def _completed(self, batch_id: str) -> int:
        return int(self.insist("batch_get", id=batch_id).result["counts"]["completed"])


class Person(Actor):
    """Has a job of his own in the same queue."""

    def turn(self) -> None:
        number = self.random.randrange(1000)
        key = f"{self.name}.{self.turns}"
        answer = self.insist("submit", queue=QUEUE, payload={"n": number}, client="crash", key=key)
        try:
            [job] = self.insist("wait", ids=[answer.result["id"]]).result["jobs"]
        except CallFailed as refusal:
            assert refusal.code == "not_found", refusal  # noqa: PT017 - the queue may keep nothing
            return
        assert job["result"] == {"n": number, "square": number**2}, job


CAST: tuple[tuple[type[Actor], int], ...] = ((Streamer, 2), (Keyless, 1), (Pather, 1), (BatchCanceller, 1), (Person, 1))


def batch_actors(line: Callable[[], Line], ledger: Ledger, stopping: threading.Event) -> list[Actor]:
    return [
        kind(f"{kind.__name__.lower()}{number}", line(), ledger, stopping)
        for kind, count in CAST
        for number in range(count)
    ]
