"""The payloads that find out a worker which does not read JSON as JSON, or lines as lines.

Each is what a client may submit and the daemon passes on unchanged; a worker may answer it with an error, but has to
answer it.
"""

from typing import NamedTuple


class Sample(NamedTuple):
    """One job. `label`: what to call it where it goes wrong, unless its payload speaks for itself. `more`: members that
    the request has in front of its end; `pieces`: where it is cut."""

    payload: bytes
    label: str = ""
    job_id: str | None = None
    more: bytes = b""
    pieces: tuple[int, ...] = ()


# All that can be built from [0-9a-f-], and what a language that guesses types may take for a number or an option.
ODD_IDS = (
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "0" * 36,
    "0" * 35 + "7",
    "9" * 36,
    "f" * 36,
    "-" * 36,
    "-" + "1" * 35,
    "1e" + "0" * 33 + "5",
    "deadbeef" * 4 + "-e-f",
)

_CONTROLS = "".join(f"\\u{code:04x}" for code in range(0x20))

# JSON text, so that it stands here as it is sent: raw UTF-8 and escapes are different things to a reader of lines.
UNICODE = (
    ("accents and scripts", '"Être, naïve, Grüße, Ελλάδα, Привет, שלום, مرحبا, 日本語, 한국어, ไทย"'),
    ("astral characters", '"🔥 👩‍👩‍👧‍👦 𐍈 \U0010fffd"'),
    ("escaped surrogate pairs", '"\\ud83d\\ude00 \\uD83D\\uDD25 \\udbff\\udffd"'),
    ("combining characters", '"e\u0301 a\u0308 n\u0303 Z\u0351\u036b\u0343 \u1e69\u0323"'),
    ("line separators that are none in JSON (U+2028, U+2029, U+0085)", '"one\u2028two\u2029three\u0085four"'),
    ("the character NUL, escaped", '"nul: \\u0000, and after it"'),
    ("every control character, escaped", f'"{_CONTROLS}\\b\\f\\n\\r\\t\u007f\u0080\u009f"'),
    ("quotes, backslashes and slashes", r'"\"quoted\" \\ \\\\ \\\" \/ \\n C:\\new\\table"'),
    ("what the shell and printf know", r'"$(false) `false` $HOME %s %d %n ' + "'" + r' * ? ~ ; & | <> \\c"'),
    ("brackets and commas inside a string", '"}{][,: \\"}]\\",{\\"id\\":\\"0\\"}"'),
    ("a byte order mark inside a string", '"\ufeffbom\ufeff"'),
    ("noncharacters and private use", '"\ufffe \uffff \U0001ffff \ue000"'),
    ("text that runs right to left", '"\u202eabc\u202c \u200f\u200e"'),
    (
        "members called id, status and payload inside the payload",
        '{"id":"ffffffff-0000-0000-0000-ffffffffffff","status":"ok","payload":{"id":"x","payload":null}}',
    ),
    ("member names of all kinds", '{"":1,"é🔥":2,"a\\u0000b":3,"a.b":4,"__proto__":5,"\\"":6," ":7,"constructor":8}'),
)

TYPES = (
    "null",
    "true",
    "false",
    '""',
    "{}",
    "[]",
    "0",
    "-1",
    "1.5",
    '"text"',
    "[null]",
    '{"a":null}',
    '{"a":{}}',
    "[[],{}]",
    "[1,[2,[3]]]",
    '{"a":[{"b":{"c":[1,2,{"d":null}]}}]}',
)

NUMBERS = (
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "-9223372036854775809",
    "123456789012345678901234567890",
    "-0",
    "0.1",
    "1.7976931348623157e308",
    "5e-324",
    "1E+2",
    "1.0e-7",
    "3.14159265358979323846264338327950288419716939937510",
    "[1,1.0,1e0,100e-2]",
)

# Beyond what most languages have a type for; legal JSON all the same.
EXTREME = (
    ("a number of 5,000 digits", b"9" * 5000),
    ("the number 1e400", b"1e400"),
    ("the number -1e-400", b"-1e-400"),
)

SHALLOW, DEEP, DEEPEST = 2, 100, 900  # levels; what is nested deeper than some hundreds the daemon refuses
LARGE = 1024 * 1024  # bytes: what a queue lets through unless its max_payload says otherwise


def nested(levels: int) -> bytes:
    """Lists and objects in turn."""
    pairs = levels // 2
    return b'[{"a":' * pairs + b"[]" * (levels % 2) + (b"null" if levels % 2 == 0 else b"") + b"}]" * pairs


def large() -> bytes:
    """A mebibyte, with characters of all lengths, so that some are cut where a pipe ends."""
    piece = '0123456789 é 日本語 🔥 \\n\\"\\\\ }{]['.encode()
    body = piece * (LARGE // len(piece) - 1)
    padding = b"x" * (LARGE - len(body) - len(b'{"text":""}'))
    return b'{"text":"' + body + padding + b'"}'


def unicode() -> list[Sample]:
    return [Sample(text.encode(), label) for label, text in UNICODE]


def odd_ids(payload: bytes) -> list[Sample]:
    return [Sample(payload, f"the id {job_id}", job_id=job_id) for job_id in ODD_IDS]
