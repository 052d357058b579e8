"""Any bytes, split anywhere: every conversation ends with answers or in silence, and never with the server."""

import itertools
import json

import trio.testing
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.control import ListParams, SubmitManyParams, SubmitParams, WaitParams
from supervisor.control.methods import METHODS
from tests.control.conftest import open_house
from tests.control.fake_service import FakeService, a_config
from tests.control.talk import Talk

MAX_LINE = 400
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
fields = [
    field for struct in (SubmitParams, SubmitManyParams, WaitParams, ListParams) for field in struct.__struct_fields__
]
names = st.sampled_from([*METHODS, *fields, "thumbs"])
params = st.dictionaries(names, values | names | st.just(0), max_size=4)
requests = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0") | values, "method": names | values, "params": params | values},
    optional={"id": values},
).map(lambda request: json.dumps({**request, "params": bounded(request["params"])}).encode())
damaged = st.builds(
    lambda line, at, what: line[:at] + what + line[at:], requests, st.integers(0, 80), st.binary(max_size=3)
)
lines = (
    requests | damaged | st.binary(max_size=40) | st.sampled_from([b"", b"[" * 1000, b'{"a":' * 300, b"\xff", b"\r"])
)


def bounded(params: object) -> object:
    """No wait may last: a job that is never final is not what is tested here."""
    return {**params, "timeout_secs": 0} if isinstance(params, dict) and "timeout_secs" in params else params


async def converse(talk: Talk, chunks: list[bytes]) -> list[bytes]:
    for chunk in chunks:
        await talk.say(chunk)
    talk.half_close()
    answers = []
    while line := await talk.line():
        answers.append(line)
    return answers


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


@given(st.lists(lines, max_size=12), st.lists(st.integers(0, 5000), max_size=6))
@example([b"x" * 1000, b'{"jsonrpc":"2.0","id":1,"method":"ping"}'], [350, 450, 1001])
async def test_any_bytes_in_any_pieces_are_answered_or_ignored(sent: list[bytes], cuts: list[int]) -> None:
    ping = b'{"jsonrpc":"2.0","id":"the last one","method":"ping"}'
    async with open_house(FakeService(a_config(max_line=MAX_LINE, max_outstanding=3))) as house:
        talk = await house.connect()
        answers = [json.loads(line) for line in await converse(talk, split(b"\n".join([*sent, ping]), cuts))]
        assert await (await house.connect()).ask("ping")
    assert all(answer["jsonrpc"] == "2.0" and ("result" in answer) != ("error" in answer) for answer in answers)
    assert [answer for answer in answers if answer["id"] == "the last one"]
    assert not [answer for answer in answers if answer.get("error", {}).get("code") == -32603]
    assert len(answers) <= b"\n".join(sent).count(b"\n") + 2


@given(st.lists(lines, max_size=6), st.integers(0, 400))
async def test_a_client_may_leave_at_any_byte(sent: list[bytes], at: int) -> None:
    async with open_house() as house:
        talk = await house.connect()
        await talk.say(b"\n".join(sent)[:at])
        talk.close()
        assert await (await house.connect()).ask("ping")
        await trio.testing.wait_all_tasks_blocked()
        assert house.service.connections == 1
