"""Places to go on from, as opaque words: clients hand them back, and may read nothing into them."""

import base64
import binascii
import struct
from uuid import UUID

from supervisor.errors import Invalid

_LAYOUT = struct.Struct(">Bq")
_LIST, _JOURNAL, _BATCHES = 1, 2, 3  # one is not taken for the other
_BATCH_LAYOUT = struct.Struct(">B16s")


def encode_cursor(seq: int) -> str:
    """The place of a job in a list."""
    return _encode(_LIST, seq)


def decode_cursor(cursor: str) -> int:
    """The `seq` it was made of; raises Invalid for a cursor that this version did not make."""
    seq = _decode(_LIST, cursor)
    if seq is None or seq < 1:
        raise Invalid('cursor: not one of this daemon\'s; start again without it, and hand back "next" as it came')
    return seq


def encode_place(n: int) -> str:
    """The place behind an event of the journal."""
    return _encode(_JOURNAL, n)


def decode_place(since: str) -> int:
    """The number it was made of; raises Invalid."""
    n = _decode(_JOURNAL, since)
    if n is None or n < 0:
        raise Invalid('since: not a place in this journal; hand back an event\'s "cursor", or "next", as it came')
    return n


def encode_batch(batch_id: str) -> str:
    """The place of a batch in a list."""
    return base64.urlsafe_b64encode(_BATCH_LAYOUT.pack(_BATCHES, UUID(batch_id).bytes)).decode()


def decode_batch(cursor: str) -> str:
    """The id it was made of; raises Invalid."""
    try:
        found, raw = _BATCH_LAYOUT.unpack(base64.b64decode(cursor, altchars=b"-_", validate=True))
    except (binascii.Error, struct.error, ValueError):
        found, raw = None, b""
    if found != _BATCHES:
        raise Invalid('cursor: not one of this daemon\'s; start again without it, and hand back "next" as it came')
    return str(UUID(bytes=raw))


def _encode(kind: int, number: int) -> str:
    return base64.urlsafe_b64encode(_LAYOUT.pack(kind, number)).decode()


def _decode(kind: int, cursor: str) -> int | None:
    try:
        found, number = _LAYOUT.unpack(base64.b64decode(cursor, altchars=b"-_", validate=True))
    except (binascii.Error, struct.error, ValueError):
        return None
    return int(number) if found == kind else None
