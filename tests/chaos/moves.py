"""Restarts and resizes at random moments, which no job may notice."""

import threading
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from protocol.client import CallFailed, Client
from tests.chaos.pools import Trouble
from tests.chaos.tally import Tally

EVERY = (0.1, 1.5)  # seconds


class Mover(threading.Thread):
    def __init__(self, connect: Callable[[], Client], pools: Sequence[Trouble], tally: Tally, seed: str) -> None:
        super().__init__(name="mover")
        self._connect = connect
        self._pools = pools
        self._tally = tally
        self._chance = Random(f"{seed} mover")
        self._over = threading.Event()

    def stop(self) -> None:
        """When it has ended, every pool has the size that it was configured with."""
        self._over.set()

    def run(self) -> None:
        try:
            with self._connect() as client:
                while not self._over.wait(self._chance.uniform(*EVERY)):
                    pool = self._chance.choice(self._pools)
                    if self._chance.random() < 0.5:
                        self._restart(client, pool)
                    else:
                        client.call("resize", {"pool": pool.name, **self._some_size(pool)})
                        self._tally.moved("resizes")
                for pool in self._pools:
                    client.call("resize", {"pool": pool.name, **pool.size})
        except Exception as error:
            self._tally.give_up(f"{self.name}: {error!r}")

    def _restart(self, client: Client, pool: Trouble) -> None:
        """One that is given up is one of its possible ends: some of the new workers do not come up."""
        try:
            client.call("restart", {"pool": pool.name})
            self._tally.moved("restarts")
        except CallFailed as refused:
            if refused.code != "restart_failed":
                raise
            self._tally.moved("restarts given up")

    def _some_size(self, pool: Trouble) -> dict[str, Any]:
        most = self._chance.randint(1, 5)
        return {"min": self._chance.randint(1, most), "max": most} if "min" in pool.size else {"size": most}
