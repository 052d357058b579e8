"""What is written of a line that was answered: one JSON object a line."""

import msgspec

from protocol.text import BadText, check_utf8
from supervisor.core.job import NULL, JobError


class _Error(msgspec.Struct, omit_defaults=True):
    """Of a job's error what is set. Whether it might have been repeated is no matter any more."""

    cause: str
    message: str
    exit_code: int | None = None
    signal: str | None = None
    stderr: str | None = None
    details: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Seen(msgspec.Struct, gc=False):
    """As much of a record as proves that it is one."""

    line: int
    result: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Seen).decode


def result_record(number: int, custom_id: bytes | None, result: bytes) -> bytes:
    """Of a line that was done, with its "\\n". `result` is JSON on one line."""
    if custom_id is None:
        return b'{"line":%d,"result":%b}\n' % (number, result)
    return b'{"line":%d,"custom_id":%b,"result":%b}\n' % (number, custom_id, result)


def error_record(number: int, custom_id: bytes | None, error: JobError) -> bytes:
    """Of a line whose job failed."""
    return _failed(
        number,
        custom_id,
        _Error(
            cause=error.cause,
            message=error.message,
            exit_code=error.exit_code,
            signal=error.signal,
            stderr=error.stderr,
            details=msgspec.UNSET if error.details == NULL else error.details,
        ),
    )


def refusal_record(number: int, custom_id: bytes | None, cause: str, message: str) -> bytes:
    """Of a line for which no job has failed: it was no job, or its job was ended."""
    return _failed(number, custom_id, _Error(cause=cause, message=message))


def number_of(record: bytes) -> int | None:
    """The number of the line that a record (with or without its "\\n") answers; None: it is no whole record."""
    try:
        check_utf8(record)
        seen = _decode(record)
    except (BadText, msgspec.DecodeError, RecursionError):
        return None
    return seen.line if seen.line > 0 and bool(bytes(seen.result)) != bool(bytes(seen.error)) else None


def _failed(number: int, custom_id: bytes | None, error: _Error) -> bytes:
    if custom_id is None:
        return b'{"line":%d,"error":%b}\n' % (number, _encode(error))
    return b'{"line":%d,"custom_id":%b,"error":%b}\n' % (number, custom_id, _encode(error))
