"""Whether one start of a worker comes to anything: what a rolling restart waits for."""

import trio


class Boot:
    """Decided once: the worker has come up (it said that it is ready, answered a job, or lived long enough), or its
    life ended before."""

    def __init__(self) -> None:
        self._decided = trio.Event()
        self._failure: str | None = None

    @property
    def decided(self) -> bool:
        return self._decided.is_set()

    def succeed(self) -> None:
        self._decided.set()

    def fail(self, reason: str) -> None:
        if not self._decided.is_set():
            self._failure = reason
            self._decided.set()

    async def failure(self) -> str | None:
        """Wait until it is decided; None: the worker is up."""
        await self._decided.wait()
        return self._failure
