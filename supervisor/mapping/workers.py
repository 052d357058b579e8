"""The workers: a pool that is given up where its program does not come up."""

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from supervisor.config.model import PoolConfig
from supervisor.mapping.work import Work
from supervisor.pool.ears import Ears
from supervisor.pool.launcher import Launcher
from supervisor.pool.pool import Pool
from supervisor.pool.remains import Remains

# Boots in a row that came to nothing, in each place. A daemon goes on for ever; here somebody waits for an answer. With
# the pauses between them the second is half a minute: what the program needs may be restarted meanwhile.
NEVER_WORKED, WORKED_BEFORE = 3, 8


class Workers(Pool):
    """`hopeless` is called when no place gets a working worker, with the reason of the last."""

    def __init__(
        self, config: PoolConfig, work: Work, environ: Mapping[str, str], hopeless: Callable[[str], None]
    ) -> None:
        super().__init__(config, work, Launcher(_NoRecord(), environ))
        self.ears = Ears(work.meanwhile)
        self._hopeless = hopeless

    def boot_failed(self, place: int, reason: str, lived: float) -> None:
        super().boot_failed(place, reason, lived)
        most = WORKED_BEFORE if self.jobs_done else NEVER_WORKED
        if not self.stopping.is_set() and all(self.health.failures(slot.number) >= most for slot in self.slots):
            self._hopeless(reason)


class _NoRecord(Remains):
    """There is no folder of ours that outlives us, and no next start that would look into it."""

    def __init__(self) -> None:
        super().__init__(Path(os.devnull), f"map-{os.getpid()}-{secrets.token_hex(4)}")

    def remember(self, leader: int) -> None:
        return None

    def forget(self, name: str) -> None:
        pass
