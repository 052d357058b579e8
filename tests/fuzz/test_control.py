import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.client import Client
from protocol.control import PoolView, WorkerView
from supervisor.config.model import QueueConfig
from supervisor.control.access import Caller
from supervisor.control.context import Context
from supervisor.control.dispatch import Dispatcher, Work
from supervisor.control.methods import METHODS
from supervisor.control.receiving import Receptions
from supervisor.control.rpc import BadRequest, Request, parse
from supervisor.core.access import Access, Listed, Lists, Peer
from supervisor.core.denials import Denials
from supervisor.core.roles import Role
from supervisor.errors import NotFound, StoreUnavailable, UnknownQueue
from tests.control.fake_service import NOW, a_config
from tests.fuzz.strategies import chunks, damaged, dumped, objects, text, values

PATIENCE = 20.0  # seconds
# drain ends the daemon's use, wait and restart may take their time, resize may ask for a thousand workers, and what
# backup sends are not answers
HARMLESS = sorted(METHODS.keys() - {"drain", "wait", "restart", "resize", "backup"})
QUEUES = st.sampled_from(["thumbs", "small", "mail", "nosuch"])
WORDS = st.sampled_from(["a", "b"])
JOB_MEMBERS: list[tuple[str, st.SearchStrategy[Any]]] = [
    ("queue", QUEUES),
    ("payload", values),
    ("priority", st.integers(-5, 5)),
    ("run_at", st.sampled_from(["2030-01-31T12:00:00Z", "1969-12-31T23:59:59+23:00", "9999-12-31T23:59:59-12:00"])),
    ("delay_secs", st.floats(0, 1e9)),
    ("timeout_secs", st.floats(0.1, 100)),
    ("expires_in_secs", st.floats(0.1, 100)),
    ("max_attempts", st.integers(1, 5)),
    *[(name, WORDS) for name in ("client", "key", "unique", "name")],
    ("tags", st.lists(WORDS, max_size=3)),
]
jobs = objects(JOB_MEMBERS)
params = (
    objects(
        [
            *JOB_MEMBERS,
            ("jobs", st.lists(jobs, max_size=3)),
            ("id", st.just("0199f3c2-7b1a-7c3e-9d40-5a1b2c3d4e5f") | text),
            ("ids", st.lists(text, max_size=2)),
            ("pool", st.just("thumbs")),
            *[(name, st.integers(-1, 3)) for name in ("size", "min", "max")],
            ("limit", st.integers(-1, 300)),
            ("cursor", text),
            *[(name, text) for name in ("lines", "base64", "batch", "path")],
            ("file", st.sampled_from(["output", "errors"]) | text),
            ("more", st.booleans()),
            ("older_than_secs", st.floats(0, 1e9)),
            ("full", st.booleans()),
            ("state", st.sampled_from(["done", "pending"])),
            ("tag", WORDS),
        ]
    )
    | values
)


def requests(methods: list[str]) -> st.SearchStrategy[bytes]:
    ids = st.integers() | text | st.none()
    whole = st.fixed_dictionaries(
        {"jsonrpc": st.just("2.0"), "id": ids, "method": st.sampled_from(methods)}, optional={"params": params}
    )
    fit = st.builds(_submit, jobs.filter(lambda job: "queue" in job and "payload" in job))
    anyhow = objects(
        [("jsonrpc", st.just("2.0")), ("id", ids), ("method", st.sampled_from(methods)), ("params", params)]
    )
    return whole.map(dumped) | fit.map(dumped) | anyhow.map(dumped)


def _submit(job: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "submit", "params": job}


def lines(methods: list[str]) -> st.SearchStrategy[bytes]:
    return damaged(requests(methods)) | st.binary(max_size=60)


class Empty:
    """A service that has no job of any name. 3001 administers it, 3002 submits to one queue, 3003 sees one alone."""

    config = a_config()
    version = "1.2.3"
    access = Access(
        owner=3001,
        lists=Lists(look=Listed(users=frozenset({3002}))),
        queues={
            "thumbs": Lists(submit=Listed(users=frozenset({3002}))),
            "small": Lists(admin=Listed(users=frozenset({3003}))),
        },
    )

    @property
    def backups(self) -> "Empty":
        return self

    @property
    def batches(self) -> "NoBatches":
        return NoBatches()

    def queue(self, name: str) -> QueueConfig:
        if (queue := self.config.queue(name)) is None:
            raise UnknownQueue("there is no such queue")
        return queue

    def pools(self, pool: str | None) -> list[PoolView]:
        return []

    def workers(self, pool: str | None) -> list[WorkerView]:
        return []

    def __getattr__(self, name: str) -> Any:
        async def missing(*_: object, **__: object) -> None:
            raise NotFound("there is nothing here")

        return missing


class NoBatches:
    """And that takes none."""

    def get(self, batch_id: str) -> Any:
        raise NotFound("there is no such batch")

    def list(self, **_: object) -> tuple[tuple[()], int, None]:
        return (), 0, None

    async def begin(self, want: object) -> Any:
        raise StoreUnavailable("there is no disk")

    async def gc(self, **_: object) -> tuple[()]:
        return ()


def _check_answer(line: bytes) -> None:
    """A JSON-RPC answer, in full."""
    answer = json.loads(line)
    assert line.endswith(b"\n")
    assert answer.keys() in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
    assert answer["jsonrpc"] == "2.0"
    if "error" in answer:
        assert answer["error"].keys() == {"code", "message", "data"}
        assert isinstance(answer["error"]["data"]["code"], str)
        assert answer["error"]["code"] != -32603, "a bug that only the log would tell of"
        assert answer["error"]["message"]
        assert len(answer["error"]["message"]) < 2000


@given(lines(sorted(METHODS)))
def test_any_line_is_a_request_or_a_bad_request(line: bytes) -> None:
    request: Request | BadRequest | None
    try:
        request = parse(line)
    except BadRequest as error:
        request = error
    if isinstance(request, BadRequest):
        assert request.message
        json.loads(request.id, parse_int=str, parse_float=str)
    elif request is None:
        assert not line.strip()
    else:
        assert isinstance(json.loads(line, parse_int=str, parse_float=str)["method"], str)


@given(lines(sorted(METHODS)), st.sampled_from([3001, 3002, 3003]))
def test_any_line_is_answered_to_anybody_and_never_with_a_bug(line: bytes, uid: int) -> None:
    service = Empty()
    caller = Caller(service, Peer(1, uid, frozenset(), None), Role.ADMIN, Denials())
    begun = Dispatcher(Context(service, lambda: NOW, caller, Receptions().of(uid))).begin(line)  # type: ignore[arg-type]
    answer = _finished(begun) if isinstance(begun, Work) else begun
    if answer:
        _check_answer(answer)


def _finished(work: Work) -> bytes:
    """Without a loop: the empty service waits for nothing."""
    with pytest.raises(StopIteration) as done:
        work.finish().send(None)
    answer = done.value.value
    assert isinstance(answer, bytes)
    return answer


@pytest.fixture(scope="module")
def bystander(daemon_socket: str) -> Iterator[Client]:
    with Client(daemon_socket, timeout=PATIENCE) as client:
        yield client


@settings(max_examples=min(settings().max_examples, 1000))
@given(data=st.data(), said=st.lists(lines(HARMLESS), max_size=4), end=st.sampled_from(["half", "close", "unread"]))
def test_whatever_a_client_sends_the_others_notice_nothing(
    data: st.DataObject, said: list[bytes], end: str, daemon_socket: str, bystander: Client
) -> None:
    stream = b"\n".join(said)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(daemon_socket)
        for chunk in data.draw(chunks(stream)):
            connection.sendall(chunk)
        if end == "half":
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as answers:
                for line in answers:
                    _check_answer(line)
        elif end == "close":
            connection.shutdown(socket.SHUT_RDWR)
    assert bystander.ping()["protocol"] == 1


def test_after_all_that_work_still_gets_done(bystander: Client) -> None:
    job = bystander.submit("thumbs", {"path": "a.png"}, priority=1000)
    assert bystander.wait(job["id"], timeout_secs=PATIENCE)["state"] == "done"
    assert bystander.status()["connections"] >= 1
