"""batch_output: what is in a file of a batch, one notification for each record, at the reader's pace.

Of a reader the daemon keeps his place, and the page that he has not taken yet: no more than that, however large the
records are, and not even a descriptor. So nobody is too slow, and a batch can be deleted while it is read.
"""

import os
from binascii import b2a_base64
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Literal

import trio

from protocol.batches import BatchEndView, BatchFailedView, BatchOutputParams, BatchOutputView
from supervisor.batch.batches import Growing
from supervisor.control.batching import seen_batch
from supervisor.control.complaints import cut, hint, no_batch
from supervisor.control.context import Context
from supervisor.control.rpc import HangUp, Streaming, encode_notification
from supervisor.errors import Invalid, NotFound, Refused, StoreUnavailable

PAGE = 64 * 1024  # bytes of the file that are told at once; of small records, three times that on the wire
WHOLE = 256 * 1024  # bytes of the largest record that is told as it is
PART = 192 * 1024  # bytes of a larger one in one line: a multiple of three, so that base64 has no padding in between
SKIP = 16 * 1024 * 1024  # bytes of the lines in front of the first one that are counted without a look at the client
GATHER = 0.05  # seconds in which a follower lets records come together
_FILES: tuple[Literal["output"], Literal["errors"]] = ("output", "errors")
_reading = trio.CapacityLimiter(4)  # threads: those of everybody who reads at once


async def batch_output(context: Context, params: BatchOutputParams) -> Streaming:
    if params.from_line < 1:
        raise Invalid("from_line: lines are numbered from 1")
    file = _file(params.file)
    seen_batch(context, params.id)
    growing = context.service.batches.output(params.id, file)
    record = Records(growing.path, params.id, file, params.from_line)
    return Streaming(BatchOutputView(id=params.id, file=file), _tell(context, growing, record, follow=params.follow))


async def _tell(context: Context, growing: Growing, records: "Records", *, follow: bool) -> AsyncGenerator[bytes, None]:
    """Notifications, some at a time, to the end: that of the file as it is now, or once it grows no more."""
    try:
        end = growing.size
        while True:
            while records.place < end:
                page = await trio.to_thread.run_sync(records.read, end, limiter=_reading)
                _check_sight(context, records.batch)
                if page:
                    yield page
            if not follow or (grown := await growing.more(end)) == end:
                break
            if not growing.final:  # looking anew after each of a thousand answers a second would be dear
                await trio.sleep(GATHER)
            end = max(grown, growing.size)
        _check_sight(context, records.batch)
        last = records.end(context.service.batches.get(records.batch).state)
    except (NotFound, FileNotFoundError):
        last = records.failed(no_batch(records.batch))
    except OSError as error:
        last = records.failed(StoreUnavailable(f"the file cannot be read: {error.strerror}"))
    except Refused as error:
        last = records.failed(error)
    yield last


def _check_sight(context: Context, batch_id: str) -> None:
    """The rules may have changed: by the new ones he may begin again."""
    if not context.caller.sees(context.service.batches.get(batch_id).queue):
        raise HangUp


def _file(name: str) -> Literal["output", "errors"]:
    for file in _FILES:
        if name == file:
            return file
    raise Invalid(f'file: there is none called "{cut(name)}"{hint(name, _FILES)}')


class Records:
    """A place in a file of records, and what is told of those behind it. `place` is in bytes."""

    def __init__(self, path: Path, batch: str, file: str, first: int) -> None:
        self.batch = batch
        self.place = 0
        self._path = path
        self._file = file
        self._first = first  # number of the first line that is wanted
        self._number = 1  # of the line at `place`
        self._inside = False  # of a record that is told in parts
        self._head = b'"params":{"id":"%b","file":"%b","n":' % (batch.encode(), file.encode())

    def read(self, end: int) -> bytes:
        """Blocks. Notifications of what is next in the file, of which `end` bytes are good; nothing, while lines are
        passed over. Raises OSError."""
        fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if self._number < self._first:
                self._skip(fd, min(end, self.place + SKIP))
                return b""
            if self._inside:
                return self._part(fd, end)
            return self._page(fd, end)
        finally:
            os.close(fd)

    def _skip(self, fd: int, end: int) -> None:
        while self.place < end and self._number < self._first:
            data = self._read(fd, WHOLE, end)
            wanted = self._first - self._number
            found = data.count(b"\n")
            if found < wanted:
                self._number += found
                self.place += len(data)
                continue
            at = 0
            for _ in range(wanted):
                at = data.index(b"\n", at) + 1
            self._number += wanted
            self.place += at

    def _page(self, fd: int, end: int) -> bytes:
        data = self._read(fd, PAGE, end)
        size = data.rfind(b"\n") + 1
        if not size:
            data = self._read(fd, WHOLE, end)
            size = data.find(b"\n") + 1
        if not size:
            return self._part(fd, end)
        records = data[: size - 1].split(b"\n")
        head = b'{"jsonrpc":"2.0","method":"batch_line",' + self._head
        told = [b'%b%d,"record":%b}}\n' % (head, n, record) for n, record in enumerate(records, self._number)]
        self.place += size
        self._number += len(records)
        return b"".join(told)

    def _part(self, fd: int, end: int) -> bytes:
        data = self._read(fd, PART, end)
        size = data.find(b"\n")
        more = size < 0
        text = b2a_base64(data if more else data[:size], newline=False)
        head = b'{"jsonrpc":"2.0","method":"batch_part",' + self._head
        told = b'%b%d,"base64":"%b","more":%b}}\n' % (head, self._number, text, b"true" if more else b"false")
        self.place += len(data) if more else size + 1
        self._number += not more
        self._inside = more
        return told

    def _read(self, fd: int, size: int, end: int) -> bytes:
        data = os.pread(fd, min(size, end - self.place), self.place)
        if not data:
            raise OSError(0, "it is shorter than it was")
        return data

    def end(self, state: str) -> bytes:
        view = BatchEndView(id=self.batch, file=self._file, lines=self._number - 1, state=state)
        return encode_notification("batch_end", view)

    def failed(self, error: Refused) -> bytes:
        view = BatchFailedView(id=self.batch, file=self._file, code=error.code, message=error.message)
        return encode_notification("batch_failed", view)
