"""What is asked of the daemon, again and again, and what becomes of it when the daemon is gone."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import NamedTuple

import click

from protocol.client import Client, ClientError
from supervisor.cli.troubles import View

MOST_JOBS = 200  # the largest answer of `running`
PATIENCE = 5.0  # seconds for an answer


class Snapshot(NamedTuple):
    """What the daemon said, and when."""

    status: View
    workers: list[View]
    running: View
    at: datetime


def look(client: Client) -> Snapshot:
    """All three questions at once: one way there and back."""
    asked = [client.send("status"), client.send("workers"), client.send("running", {"limit": MOST_JOBS})]
    answers = dict(client.receive() for _ in asked)
    status, workers, running = (answers[number] for number in asked)
    return Snapshot(status, workers["workers"], running, datetime.now(UTC))


class News(NamedTuple):
    """The latest snapshot, and since then: how many seconds nothing new has come, and why."""

    snapshot: Snapshot
    silent: float = 0.0
    trouble: str | None = None


class Watch:
    """Looks every `interval` seconds, in a thread: a daemon that does not answer must not keep anybody from leaving.
    `news` is always the latest, and `told` is called whenever it is new. `connect` may raise what says why not."""

    def __init__(
        self, first: Snapshot, connect: Callable[[], Client], interval: float, told: Callable[[], None]
    ) -> None:
        self.news = News(first)
        self._connect = connect
        self._interval = interval
        self._told = told
        self._client: Client | None = None
        self._seen = monotonic()
        self._looking = threading.Event()
        self._looking.set()
        self._crash: BaseException | None = None

    def start(self) -> None:
        threading.Thread(target=self._run, name="stoker-top", daemon=True).start()

    def hold(self) -> None:
        """Ask nothing more."""
        self._looking.clear()

    def go_on(self) -> None:
        self._looking.set()

    def _run(self) -> None:
        pause = threading.Event()  # never set: it is there to be waited for
        try:
            while True:
                pause.wait(self._interval)
                self._looking.wait()
                self.step()
        except BaseException as crash:
            self._crash = crash
            self._told()

    def check(self) -> None:
        """Raise what has ended the thread: a bug, which is not to be shown as news that stay the same."""
        if self._crash is not None:
            raise self._crash

    def step(self) -> None:
        """Look once."""
        try:
            if self._client is None:
                self._client = self._connect()
            self.news = News(look(self._client))
            self._seen = monotonic()
        except (ClientError, click.ClickException) as error:
            # With answers outstanding, or none to come: the next look has a connection of its own.
            if self._client is not None:
                self._client.close()
                self._client = None
            self.news = News(self.news.snapshot, monotonic() - self._seen, _why(error))
        self._told()


def _why(error: Exception) -> str:
    return error.format_message() if isinstance(error, click.ClickException) else str(error)
