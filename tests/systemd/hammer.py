"""Clients that submit as fast as they are answered, and write down everything that was not an answer."""

import threading
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

from protocol.client import Client, Disconnected, NoDaemon

PATIENCE = 60.0  # seconds; a client that needs them has failed


class Hammer(threading.Thread):
    """Submits jobs numbered NAME.0, NAME.1, …, each with its number as key and payload, until `over`. `keeps`: on one
    connection for as long as that holds, otherwise on a new one for each."""

    def __init__(self, name: str, connect: Callable[[], Client], over: threading.Event, *, keeps: bool) -> None:
        super().__init__(name=name, daemon=True)
        self.answered: dict[str, str] = {}  # ids, by key
        self.seen: Counter[str] = Counter()  # what was no answer
        self.trouble: str | None = None
        self._connect = connect
        self._over = over
        self._keeps = keeps
        self._client: Client | None = None

    def run(self) -> None:
        try:
            while not self._over.wait(0.002):
                key = f"{self.name}.{len(self.answered)}"
                self.answered[key] = self._submit(key)
        except Exception:
            self.trouble = traceback.format_exc()
        finally:
            self._leave()

    def _submit(self, key: str) -> str:
        """Again until it is answered; the id."""
        while True:
            try:
                client = self._client = self._client or self._connect()
                answer: dict[str, Any] = client.submit("work", key, client="hammer", key=key)
            except NoDaemon:
                self.seen["refused"] += 1
            except Disconnected as lost:
                self.seen["unheard" if lost.unheard else "lost"] += 1
                self._leave()
            else:
                if not self._keeps:
                    self._leave()
                return str(answer["id"])

    def _leave(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


class Crowd:
    """Several of them."""

    def __init__(self, connect: Callable[[], Client], size: int = 4) -> None:
        self._over = threading.Event()
        self.hammers = [Hammer(f"c{number}", connect, self._over, keeps=number % 2 == 0) for number in range(size)]

    def __enter__(self) -> "Crowd":
        for hammer in self.hammers:
            hammer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for hammer in self.hammers:
            hammer.join(PATIENCE)

    @property
    def answered(self) -> dict[str, str]:
        return {key: job for hammer in self.hammers for key, job in list(hammer.answered.items())}

    @property
    def least(self) -> int:
        """Answers of whoever has the fewest."""
        return min(len(hammer.answered) for hammer in self.hammers)

    def check(self) -> Counter[str]:
        """What they have seen that was no answer; all of them must be well, and through."""
        assert not [hammer.trouble for hammer in self.hammers if hammer.trouble], self.hammers[0].trouble
        assert not [hammer.name for hammer in self.hammers if hammer.is_alive()]
        return sum((hammer.seen for hammer in self.hammers), Counter())
