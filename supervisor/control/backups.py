"""backup: the whole store, as a stream of lines to whoever asked.

The daemon may not write where the caller wants the file, and the caller may not read where the store is; so the copy
goes through the socket. It is first made beside the store, in steps between other transactions, and then sent at the
client's pace: what is sent must not change any more.
"""

import os
import time
from binascii import b2a_base64
from collections.abc import AsyncGenerator
from pathlib import Path

import structlog
import trio

from protocol.control import CompleteView, CopyingView, FailedView
from supervisor.config.quantities import format_size
from supervisor.control.rpc import encode_notification
from supervisor.control.space import Space, free_bytes
from supervisor.errors import Conflict, StokerError, StoreUnavailable
from supervisor.store.committer import Committer
from supervisor.store.port import Contents, Snapshot, Store

log = structlog.get_logger("stoker.control")

CHUNK = 192 * 1024  # bytes in one line: a multiple of three, so that base64 has no padding in between
FLUSH_EVERY = 4 * 1024 * 1024  # bytes of the copy that may wait for the disk
TELL_EVERY = 0.2  # seconds
PATIENCE = 60.0  # seconds; a client that takes nothing for so long keeps the copy no more
_MIB = 1024 * 1024


class Backups:
    """One at a time: each takes its size in disk space."""

    def __init__(self, committer: Committer, space: Space, database: Path) -> None:
        self._committer = committer
        self._space = space
        self._database = database
        self._under_way = False

    async def check(self) -> int:
        """How large the copy will be, about. Raises Conflict while there is another, and StoreUnavailable where there
        is no room for it."""
        if self._under_way:
            raise Conflict("a backup is being made already: wait for its end, or end the command that asked for it")
        size = await self._committer.read(lambda store: store.size())
        folder = self._database.parent
        try:
            free = free_bytes(folder)
        except OSError:
            return size  # whatever that means, the copy will tell
        if free - size < self._space.reserve:
            raise StoreUnavailable(
                f"the copy needs {size // _MIB + 1} MiB in {folder} for as long as it is made and sent, and "
                f"{free // _MIB} MiB are free, of which daemon.disk_reserve ({format_size(self._space.reserve)}) "
                "must stay: free some"
            )
        return size

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """Notifications to the end of the copy, or to the reason why there is none."""
        if self._under_way:
            yield _failed(Conflict("another backup began at the same moment: wait for its end"))
            return
        self._under_way = True
        taking = _Taking(self._committer, self._space)
        try:
            while line := await taking.advance():
                yield line
            last = taking.complete()
        except StokerError as error:
            log.error("backup_failed", reason=error.message)
            last = _failed(error)
        finally:
            await taking.end()
            self._under_way = False
        yield last  # who has read it may ask for the next one


class _Taking:
    """From the first step to the last byte; `end` it whatever happens."""

    def __init__(self, committer: Committer, space: Space) -> None:
        self._committer = committer
        self._space = space
        self._began = time.monotonic()
        self._snapshot: Snapshot | None = None
        self._contents: Contents | None = None
        self._fd = -1
        self._flushed = 0  # bytes
        self._sent = 0  # bytes

    async def advance(self) -> bytes:
        """The next line; empty: the client has all of it. Raises StokerError."""
        try:
            if self._snapshot is None:
                await self._begin()
            if self._contents is None and (line := await self._copy()):
                return line
            return await self._send()
        except OSError as error:
            raise StoreUnavailable(f"the copy cannot be read: {error.strerror}") from None

    async def _begin(self) -> None:
        # Once made, it must be known, or it would never be removed.
        with trio.CancelScope(shield=True):
            self._snapshot = snapshot = await self._committer.read(lambda store: store.snapshot())
        self._fd = os.open(snapshot.path, os.O_RDONLY | os.O_CLOEXEC)

    async def _copy(self) -> bytes:
        """A line about how far it is, if it takes long; empty: it is complete."""
        snapshot = self._snapshot
        assert snapshot is not None
        tell_at = time.monotonic() + TELL_EVERY
        while not (copied := await self._committer.read(lambda store: snapshot.step())).complete:
            if self._space.low:  # new jobs are worth more
                raise StoreUnavailable(f"the copy was given up: {self._space.reason}")
            if copied.bytes - self._flushed >= FLUSH_EVERY:
                # Left to the kernel, it would all go to the disk at once, in the way of the next commits.
                await trio.to_thread.run_sync(os.fdatasync, self._fd)
                self._flushed = copied.bytes
            if time.monotonic() >= tell_at:
                return encode_notification("copying", CopyingView(bytes=copied.bytes, of=copied.of))
        self._contents = await trio.to_thread.run_sync(snapshot.contents)
        return b""

    async def _send(self) -> bytes:
        line = await trio.to_thread.run_sync(_chunk, self._fd, self._sent)
        self._sent += CHUNK
        return line

    def complete(self) -> bytes:
        """The line to end with."""
        found = self._contents
        assert found is not None
        seconds = round(time.monotonic() - self._began, 3)
        log.info("backup_taken", bytes=found.bytes, jobs=found.jobs, seconds=seconds)
        view = CompleteView(
            bytes=found.bytes, jobs=found.jobs, running=found.running, schema=found.schema, seconds=seconds
        )
        return encode_notification("complete", view)

    async def end(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)  # first: of a file without a name it would be what frees the disk, on the loop
        snapshot = self._snapshot
        if snapshot is None:
            return

        def close(_: Store) -> None:
            snapshot.close()

        with trio.CancelScope(shield=True):
            try:
                await self._committer.read(close)  # a step may be under way: after it
            finally:
                await trio.to_thread.run_sync(snapshot.remove)


def _chunk(fd: int, at: int) -> bytes:
    """The line with the bytes from there on; empty: there are none."""
    data = os.pread(fd, CHUNK, at)
    if not data:
        return b""
    # By hand: the encoder would look at each character for something to escape.
    text = b2a_base64(data, newline=False)
    return b'{"jsonrpc":"2.0","method":"chunk","params":{"at":%d,"data":"%b"}}\n' % (at, text)


def _failed(error: StokerError) -> bytes:
    return encode_notification("failed", FailedView(code=error.code, message=error.message))
