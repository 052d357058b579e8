"""The place a list goes on from, as an opaque word: clients hand it back, and may read nothing into it."""

import base64
import binascii
import struct

from supervisor.errors import Invalid

_LAYOUT = struct.Struct(">Bq")
_VERSION = 1


def encode_cursor(seq: int) -> str:
    return base64.urlsafe_b64encode(_LAYOUT.pack(_VERSION, seq)).decode()


def decode_cursor(cursor: str) -> int:
    """The `seq` it was made of; raises Invalid for a cursor that this version did not make."""
    try:
        version, seq = _LAYOUT.unpack(base64.b64decode(cursor, altchars=b"-_", validate=True))
    except (binascii.Error, struct.error, ValueError):
        version, seq = 0, 0
    if version != _VERSION or seq < 1:
        raise Invalid('cursor: not one of this daemon\'s; start again without it, and hand back "next" as it came')
    return int(seq)
