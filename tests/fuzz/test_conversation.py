"""Whatever a worker writes, in whatever pieces: replies or one broken rule come out, never an exception."""

import json
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from protocol.worker import Reply
from supervisor.core.blame import Why
from supervisor.pool.conversation import Broken, Conversation

JOB = "0199f3c2-7b1a-7c3e-9d40-5a1b2c3d4e5f"
LAST = "0199f3c2-7b1a-7c3e-9d40-000000000000"
MAX_LINE = 300

replies = st.fixed_dictionaries(
    {"status": st.sampled_from(["ok", "error", "throttled", "progress", "done"])},
    optional={
        "id": st.sampled_from([JOB, LAST, "x", None]),
        "result": st.integers() | st.text(max_size=5),
        "recycle": st.booleans(),
        "progress": st.floats(0, 1),
    },
).map(lambda reply: json.dumps(reply).encode() + b"\n")
streams = st.lists(replies | st.binary(max_size=20) | st.just(b"\n"), max_size=6).map(b"".join)
cuts = st.lists(st.integers(0, 2000), max_size=8)


def pieces(stream: bytes, cut_at: list[int]) -> list[bytes]:
    marks = sorted({min(cut, len(stream)) for cut in cut_at} | {0, len(stream)})
    return [stream[start:end] for start, end in pairwise(marks) if end > start]


def hear(stream: list[bytes], unread: bool = False) -> list[Reply | Broken]:
    """Everything up to the first broken rule."""
    talk = Conversation(MAX_LINE, lambda: unread)
    talk.request(LAST)
    talk.hear(b'{"status":"ok"}\n')
    talk.request(JOB)
    steps: list[Reply | Broken] = []
    for piece in stream:
        steps += talk.hear(piece)
        if steps and isinstance(steps[-1], Broken):
            break
    return steps


def shape(steps: list[Reply | Broken]) -> list[str]:
    return [step.why.value if isinstance(step, Broken) else step.status for step in steps]


@given(streams, cuts)
@example(b'{"status":"ok"}\n{"status":"ok"}\n', [])
@example(b'{"status":"ok"}\n{"sta', [])
@example(b"x" * 1000, [])
def test_a_stream_means_the_same_however_it_is_cut(stream, cut_at):
    whole, cut = shape(hear([stream])), shape(hear(pieces(stream, cut_at)))
    # One thing differs: a long line is known to be too long before the lines that were not read yet.
    assert whole == cut or Why.OVERSIZE.value in (*whole, *cut)


@given(streams, cuts, st.booleans())
def test_a_broken_rule_comes_last_and_at_most_one_reply_is_final(stream, cut_at, unread):
    steps = hear(pieces(stream, cut_at), unread)
    assert not any(isinstance(step, Broken) for step in steps[:-1])
    finals = [step for step in steps if isinstance(step, Reply) and step.status != "progress"]
    assert len(finals) <= 1


@given(streams)
def test_a_reply_without_an_id_to_a_request_nobody_has_read_is_out_of_turn(stream):
    steps = hear([b'{"status":"ok"}\n' + stream], unread=True)
    assert shape(steps) == ["extra"]


def test_a_second_reply_to_the_job_before_is_known_as_late():
    [step] = hear([json.dumps({"id": LAST, "status": "ok"}).encode() + b"\n"])
    assert isinstance(step, Broken)
    assert step.late
