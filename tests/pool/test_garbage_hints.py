"""What the writer of a line that is not a reply is told to do."""

from typing import Literal

import pytest

from supervisor.core.blame import Why
from supervisor.pool.conversation import HINTS, Broken, Conversation, hint

JOB = "123e4567-e89b-42d3-a456-426614174000"


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (b'{\n  "id": "x",\n  "status": "ok"\n}\n', "cut"),
        (b'{"id":"x","status":"ok","result":"first\nsecond"}\n', "cut"),
        (b" [\n", "cut"),
        (b'{"id":"%b","payload":{"n":1},"queue":"q","attempt":1,"timeout_secs":60}\n' % JOB.encode(), "echo"),
        (b'{"id":"x","payload":{"n":1},"status":"done"}\n', None),
        (b'{"level":"info","message":"loading"}\n', None),
        (b"{'status': 'ok'}\n", None),
        (b"[info] loading\n", None),
        (b"[1]\n", None),
        (b"%b%b\n" % (b"[" * 5000, b"]" * 5000), None),
        (b"{\xff\n", None),
        (b"Loading model...\n", None),
        (b"\n", None),
    ],
)
@pytest.mark.parametrize("channel", ["stdio", "fd"])
def test_the_advice_fits_the_line(said: bytes, what: str | None, channel: Literal["stdio", "fd"]) -> None:
    assert hint(said.partition(b"\n")[0], channel) == (what or channel)
    conversation = Conversation(1 << 20, lambda: False, channel=channel)
    conversation.request(JOB)
    (step,) = conversation.hear(said)
    assert isinstance(step, Broken)
    assert step.why is Why.GARBAGE
    assert step.text.endswith(f"; {HINTS[what or channel]}")
