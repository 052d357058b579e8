"""A batch's status.json: its status, with times that people can read."""

from typing import Any

import msgspec

from protocol.text import BadText, check_utf8
from protocol.times import from_rfc3339, maybe_rfc3339
from supervisor.batch.ids import is_id
from supervisor.batch.words import BatchState, Checkpoint, Counts, Status
from supervisor.errors import Unsound
from supervisor.lines.ranges import Ranges

VERSION = 1


class _File(msgspec.Struct, kw_only=True):
    """Status, member by member, but for the times."""

    version: int = VERSION
    id: str
    queue: str
    name: str | None
    state: BatchState
    counts: Counts
    cancel_requested: bool
    created_at: str
    updated_at: str
    finished_at: str | None
    input_bytes: int
    waiting: str | None
    priority: int
    timeout: float | None
    max_attempts: int | None
    tags: tuple[str, ...]
    client: str | None
    key: str | None
    submitted_by: int | None
    checkpoint: Checkpoint


_TIMES = ("created_at", "updated_at", "finished_at")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_File).decode


def encode(status: Status) -> bytes:
    """The text of the file."""
    members: dict[str, Any] = msgspec.structs.asdict(status)
    return _encode(_File(**(members | {name: maybe_rfc3339(members[name]) for name in _TIMES}))) + b"\n"


def decode(text: bytes) -> Status:
    """Raises Unsound for anything that `encode` cannot have made."""
    try:
        check_utf8(text)
        file = _decode(text)
        members: dict[str, Any] = msgspec.structs.asdict(file)
        members |= {name: _micros(members[name]) for name in _TIMES}
        Ranges(file.checkpoint.answered)
    except (BadText, msgspec.DecodeError, RecursionError, TypeError, ValueError) as error:
        raise Unsound(f"its status.json cannot be read: {error}") from None
    if file.version > VERSION:
        raise Unsound(f"its status.json has version {file.version}, of a newer stoker; this one knows {VERSION}")
    del members["version"]
    status = Status(**members)
    if not is_id(status.id) or min(_figures(status)) < 0:
        raise Unsound("its status.json has an id or a figure that cannot be")
    return status


def _figures(status: Status) -> tuple[int, ...]:
    counts, checkpoint = status.counts, status.checkpoint
    return (
        *(counts.total, counts.completed, counts.failed, counts.cancelled, status.input_bytes),
        *(checkpoint.number, checkpoint.offset, checkpoint.output, checkpoint.errors),
    )


def _micros(moment: str | None) -> int | None:
    return None if moment is None else from_rfc3339(moment)
