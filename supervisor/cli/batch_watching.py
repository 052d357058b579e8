"""Looking at a batch until it has ended, however often the daemon goes away meanwhile and comes back."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from time import monotonic, sleep

import click

from protocol.client import CallFailed, Client, Disconnected
from supervisor.cli.batch_page import FINAL, Batch
from supervisor.cli.batch_progress import Display, display
from supervisor.cli.comeback import BACK_SECS, Line
from supervisor.cli.failures import Failed, NoDaemonThere, say
from supervisor.cli.main import INTERRUPTED

FIRST_PAUSE = 0.02  # seconds between two looks, growing: a batch of a few lines is over at once
GROWTH = 1.5


def watch_batch(client: Client, batch_id: str) -> Batch:
    """The batch once it is final. How far it is, is shown on stderr meanwhile."""
    with patience(batch_id), closing(_Looking(client, batch_id)) as looking, display() as shown:
        pause = FIRST_PAUSE
        while True:
            batch = looking.look(shown)
            if batch["state"] in FINAL:
                return batch
            shown.show(batch, monotonic())
            sleep(pause)
            pause = min(pause * GROWTH, shown.pause)


@contextmanager
def patience(batch_id: str) -> Iterator[None]:
    """Around a watch: the batch lives on when it is given up."""
    again = f"`stoker batch watch {batch_id}`"
    try:
        yield
    except KeyboardInterrupt:
        say(f"no longer watching; the batch goes on: {again} watches again, `stoker batch cancel {batch_id}` ends it")
        raise click.exceptions.Exit(INTERRUPTED) from None
    except Disconnected:
        raise NoDaemonThere(
            f"the daemon went away while we watched; batch {batch_id} goes on when it is back: then {again}"
        ) from None


class _Looking(Line):
    """The questions, each of them asked anew of a daemon that comes back within BACK_SECS."""

    def __init__(self, client: Client, batch_id: str) -> None:
        super().__init__(client)
        self._id = batch_id
        self._known = False

    def look(self, shown: Display) -> Batch:
        """Raises Disconnected when the daemon stays away."""
        try:
            batch = self._look(shown)
        except CallFailed as error:
            if error.code == "not_found" and self._known:
                raise Failed(f"batch {self._id} is no longer there: somebody has deleted it") from None
            raise
        self._known = True
        return batch

    def _look(self, shown: Display) -> Batch:
        try:
            return self.client.batch_get(self._id)
        except Disconnected as gone:
            shown.clear()
            say("the daemon went away; the watch goes on when it is back")
            until = monotonic() + BACK_SECS
            while True:
                self.reconnect(gone, until)
                with suppress(Disconnected):  # again, before a word
                    return self.client.batch_get(self._id)
