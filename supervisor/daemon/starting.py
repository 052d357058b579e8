"""A start that takes long for a reason: what systemd is told, and asked, until the event loop can speak for itself.

To recover a store with millions of jobs, to bring it to a new version or to end what is left of the last run keeps
the main thread busy. TimeoutStartSec is meant for a start that hangs, and would end such a one each time again at the
same point. So a thread says what goes on and asks for a little more time, again and again, but not for ever.
"""

import threading
import time
from types import TracebackType

from supervisor.daemon.notify import Notifier

EVERY = 5.0  # seconds
LONGEST = 3600.0  # seconds; a start that has not come further by then hangs


class Starting:
    """Until `over`, or the end of the block."""

    def __init__(self, notifier: Notifier, every: float = EVERY, longest: float = LONGEST) -> None:
        self.notifier = notifier
        self._every = every
        self._longest = longest
        self._what = ""
        self._since = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="stoker-starting", daemon=True)

    def __enter__(self) -> "Starting":
        if self.notifier.hears:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.over()

    def now(self, what: str) -> None:
        """What is being done from here on, as a person reads it."""
        self._what = what
        self.notifier.status(f"starting: {what}")

    def over(self) -> None:
        """When this returns, nothing more is said."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _ask(self) -> None:
        self.notifier.extend(3 * self._every)
        while not self._over.wait(self._every):
            taken = time.monotonic() - self._since
            if taken > self._longest:
                return
            self.notifier.status(f"starting: {self._what}, for {taken:.0f} s now")
            self.notifier.extend(3 * self._every)
