"""The client's half of batches: parts in, records out, and what it does when the daemon goes in between."""

import base64
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from protocol.client import CallFailed, Client, Disconnected
from tests.protocol.answering import Answering, Conversation, error, result

LONG = 20.0  # seconds; none of these tests needs them
LINES = b"".join(b"%d\n" % n for n in range(100_000))

Heard = list[dict[str, Any]]
Serve = Callable[[Conversation], None]


def receiving(heard: Heard, *, leave_after: int = 1 << 30) -> Serve:
    """Takes batches in parts; the first connections end after so many requests, without an answer to the last."""

    def serve(conversation: Conversation) -> None:
        for request in conversation.requests():
            heard.append(request)
            if len(heard) == leave_after:
                return
            if request["params"].get("more"):
                conversation.send(result(request, {"id": "b", "state": "receiving", "bytes": 0}))
            else:
                conversation.send(result(request, {"id": "b", "created": True}))

    return serve


def content(heard: Heard) -> bytes:
    texts = [request["params"].get("base64") or "" for request in heard]
    assert all(len(text) <= 4 * (256 * 1024 // 3 + 1) for text in texts)
    return b"".join(map(base64.b64decode, texts))


class Unseekable(io.RawIOBase):
    """A pipe: what it gives is less than what is asked for."""

    def __init__(self) -> None:
        self._data = io.BytesIO(LINES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._data.read(min(len(buffer), 1000))
        buffer[: len(data)] = data
        return len(data)


@pytest.mark.parametrize(
    "lines",
    [
        lambda: LINES,
        lambda: bytearray(LINES),
        lambda: memoryview(LINES),
        lambda: io.BytesIO(LINES),
        lambda: io.BufferedReader(Unseekable()),
        Unseekable,
        lambda: LINES.splitlines(keepends=True),
        lambda: (LINES[at : at + 7] for at in range(0, len(LINES), 7)),
        lambda: iter([LINES]),
    ],
    ids=["bytes", "bytearray", "memoryview", "file", "buffered pipe", "pipe", "list", "generator", "one piece"],
)
def test_lines_from_anywhere_are_sent_in_parts(lines: Callable[[], Any]) -> None:
    heard: Heard = []
    with Answering(receiving(heard)) as daemon, Client(daemon.path) as client:
        assert client.batch_submit("q", lines(), name="april") == {"id": "b", "created": True}
    assert {request["method"] for request in heard} == {"batch_submit"}
    assert heard[0]["params"] == {"queue": "q", "name": "april", "lines": "", "more": True}
    assert [request["params"]["batch"] for request in heard[1:]] == ["b"] * (len(heard) - 1)
    assert heard[-1]["params"] == {"batch": "b", "lines": ""}
    assert content(heard) == LINES


def test_a_path_is_the_daemons_to_read() -> None:
    heard: Heard = []
    with Answering(receiving(heard)) as daemon, Client(daemon.path) as client:
        client.batch_submit("q", path="/tmp/in.jsonl", priority=3)
    assert [request["params"] for request in heard] == [{"queue": "q", "path": "/tmp/in.jsonl", "priority": 3}]


def test_a_refusal_comes_before_anything_is_read() -> None:
    def serve(conversation: Conversation) -> None:
        conversation.send(error(conversation.request()["id"], -32000, "there is no queue", code="unknown_queue"))

    with (
        Answering(serve) as daemon,
        Client(daemon.path) as client,
        pytest.raises(CallFailed, match="there is no queue"),
    ):
        client.batch_submit("q", iter(lambda: pytest.fail("it was read"), b""))


def test_an_earlier_one_is_the_answer_and_nothing_more_is_sent() -> None:
    heard: Heard = []

    def serve(conversation: Conversation) -> None:
        for request in conversation.requests():
            heard.append(request)
            conversation.send(result(request, {"id": "a", "created": False}))

    with Answering(serve) as daemon, Client(daemon.path) as client:
        assert client.batch_submit("q", LINES, client="c", key="k") == {"id": "a", "created": False}
    assert len(heard) == 1


def test_what_fails_in_reading_the_lines_ends_the_batch() -> None:
    def lines() -> Iterator[bytes]:
        yield LINES
        raise RuntimeError("the source is dry")

    heard: Heard = []
    with Answering(receiving(heard)) as daemon, Client(daemon.path) as client:
        with pytest.raises(RuntimeError, match="the source is dry"):
            client.batch_submit("q", lines())
        assert (heard[-1]["method"], heard[-1]["params"]) == ("batch_delete", {"id": "b"})
        client.ping()


class Again:
    def __iter__(self) -> Iterator[bytes]:
        return iter([LINES])


@pytest.mark.parametrize("leave_after", [1, 2, 3])
@pytest.mark.parametrize(
    "lines", [lambda: LINES, lambda: io.BytesIO(b"xx" + LINES), Again], ids=["bytes", "file", "it"]
)
def test_what_was_cut_off_before_its_last_part_is_sent_again(lines: Callable[[], Any], leave_after: int) -> None:
    heard: Heard = []
    source = lines()
    if isinstance(source, io.BytesIO):
        source.seek(2)
    with Answering(receiving(heard, leave_after=leave_after)) as daemon, Client(daemon.path, patience=LONG) as client:
        assert client.batch_submit("q", source)["created"]
    assert content(heard[leave_after:]) == LINES


def test_what_cannot_be_read_again_is_not_sent_again_and_is_known_not_to_be_there() -> None:
    heard: Heard = []
    with Answering(receiving(heard, leave_after=3)) as daemon, Client(daemon.path, patience=LONG) as client:
        with pytest.raises(Disconnected) as lost:
            client.batch_submit("q", iter([LINES]))
        assert lost.value.unheard


def _last(heard: Heard) -> int:
    with Answering(receiving(heard)) as daemon, Client(daemon.path) as client:
        client.batch_submit("q", LINES)
    count = len(heard)
    heard.clear()
    return count


def test_an_answer_to_the_last_part_that_is_lost_leaves_it_open() -> None:
    heard: Heard = []
    last = _last(heard)
    with Answering(receiving(heard, leave_after=last)) as daemon, Client(daemon.path, patience=LONG) as client:
        with pytest.raises(Disconnected) as lost:
            client.batch_submit("q", LINES)
        assert not lost.value.unheard
    assert len(heard) == last


@pytest.mark.parametrize("path", [False, True])
def test_with_a_key_it_is_asked_again(path: bool) -> None:
    heard: Heard = []
    last = 1 if path else _last(heard)
    with Answering(receiving(heard, leave_after=last)) as daemon, Client(daemon.path, patience=LONG) as client:
        lines: dict[str, Any] = {"path": "/in"} if path else {"lines": LINES}
        assert client.batch_submit("q", **lines, client="c", key="k")["created"]
    assert len(heard) == 2 * last


def line(n: int, record: Any, file: str = "output") -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "batch_line", "params": {"id": "b", "file": file, "n": n, "record": record}}


def parts(n: int, record: Any, size: int) -> Iterable[dict[str, Any]]:
    text = json.dumps(record, ensure_ascii=False).encode()
    for at in range(0, len(text), size):
        data = base64.b64encode(text[at : at + size]).decode()
        told = {"id": "b", "file": "output", "n": n, "base64": data, "more": at + size < len(text)}
        yield {"jsonrpc": "2.0", "method": "batch_part", "params": told}


def end(lines: int) -> dict[str, Any]:
    told = {"id": "b", "file": "output", "lines": lines, "state": "completed"}
    return {"jsonrpc": "2.0", "method": "batch_end", "params": told}


def telling(heard: Heard, *conversations: Iterable[dict[str, Any]]) -> Serve:
    """One after the other, a batch_output each; after the last, any answers."""
    left = iter(conversations)

    def serve(conversation: Conversation) -> None:
        request = conversation.request()
        heard.append(request)
        conversation.send(result(request, {"id": "b", "file": request["params"]["file"]}), *next(left))
        if heard[1:] or len(conversations) == 1:
            for request in conversation.requests():
                conversation.send(result(request, "yes"))

    return serve


def read(records: Iterator[tuple[int, Any]]) -> tuple[list[tuple[int, Any]], Any]:
    found = []
    while True:
        try:
            found.append(next(records))
        except StopIteration as last:
            return found, last.value


def test_records_come_with_their_numbers_and_large_ones_whole() -> None:
    large = {"line": 2, "result": "é" * 1000}
    heard: Heard = []
    stream = [line(1, {"line": 1}), *parts(2, large, 99), line(3, {"line": 3}), end(3)]
    with Answering(telling(heard, stream)) as daemon, Client(daemon.path) as client:
        found, last = read(client.batch_output("b", "output", 1, follow=True))
        assert found == [(1, {"line": 1}), (2, large), (3, {"line": 3})]
        assert last == {"id": "b", "file": "output", "lines": 3, "state": "completed"}
        assert client.ping() == "yes"
    assert heard[0]["params"] == {"id": "b", "file": "output", "from_line": 1, "follow": True}


def test_after_a_lost_connection_it_goes_on_with_the_next_record() -> None:
    large = {"line": 3, "result": "x" * 500}
    heard: Heard = []
    first = [line(7, {"line": 1}), line(8, {"line": 2}), *list(parts(9, large, 99))[:-1]]
    rest = [*parts(9, large, 99), line(10, {"line": 4}), end(10)]
    with Answering(telling(heard, first, rest)) as daemon, Client(daemon.path, patience=LONG) as client:
        found, last = read(client.batch_output("b", from_line=7))
    assert found == [(7, {"line": 1}), (8, {"line": 2}), (9, large), (10, {"line": 4})]
    assert last["lines"] == 10
    assert [request["params"]["from_line"] for request in heard] == [7, 9]


def test_without_patience_a_lost_connection_is_said() -> None:
    with Answering(telling([], [line(1, 1)], [])) as daemon, Client(daemon.path) as client:
        records = client.batch_output("b")
        assert next(records) == (1, 1)
        with pytest.raises(Disconnected):
            next(records)


def test_what_cannot_be_told_any_more_is_a_refusal() -> None:
    told = {"id": "b", "file": "output", "code": "not_found", "message": "there is no batch"}
    failed = {"jsonrpc": "2.0", "method": "batch_failed", "params": told}
    with Answering(telling([], [line(1, 1), failed])) as daemon, Client(daemon.path) as client:
        records = client.batch_output("b")
        assert next(records) == (1, 1)
        with pytest.raises(CallFailed, match="there is no batch") as refusal:
            next(records)
        assert refusal.value.code == "not_found"


@pytest.mark.parametrize(
    ("ask", "method", "params"),
    [
        (lambda c: c.batch_get("b"), "batch_get", {"id": "b"}),
        (lambda c: c.batch_list(queue="q", limit=3), "batch_list", {"queue": "q", "limit": 3}),
        (lambda c: c.batch_cancel("b"), "batch_cancel", {"id": "b"}),
        (lambda c: c.batch_delete("b"), "batch_delete", {"id": "b"}),
        (lambda c: c.batch_gc(60, dry_run=True), "batch_gc", {"older_than_secs": 60, "dry_run": True}),
    ],
)
def test_the_other_methods_ask_what_they_are_called(
    ask: Callable[[Client], Any], method: str, params: dict[str, Any]
) -> None:
    heard: Heard = []
    with Answering(receiving(heard)) as daemon, Client(daemon.path) as client:
        assert ask(client)
    assert [(request["method"], request["params"]) for request in heard] == [(method, params)]
