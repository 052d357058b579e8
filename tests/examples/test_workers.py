"""The example workers, each spawned for real, as its own stoker.toml says."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.examples.conversation import Conversation, result
from tests.examples.languages import LANGUAGES, Language, Workshop

JOB = "0199f3c2-5b7e-7c31-9a04-6e0d5c8b1f%02x"
ODD_IDS = ("", "1", "é-日本-🔥", "' $(false) %s * \u2028", "x" * 300)
TERMINATED = (-signal.SIGTERM, 128 + signal.SIGTERM)  # the second: the JVM says it so

PIECE = 8 * 1024 * 1024
TEXT = "Être ou ne pas être,\n« être » !\t日本語日本語 🔥🔥\r\n"

WORDS: list[tuple[Any, Any]] = [
    ({"kind": "words", "text": TEXT}, {"characters": 43, "words": 11, "longest": "日本語日本語"}),
    ({"kind": "words", "text": ""}, {"characters": 0, "words": 0, "longest": ""}),
    ({"kind": "words", "text": " \n"}, {"characters": 2, "words": 0, "longest": ""}),
    (rb'{"kind":"words","text":"\ud83d\udd25\u0000\/ \u00e9\""}', {"characters": 6, "words": 2, "longest": "🔥\0/"}),
]
FACTOR: list[tuple[Any, Any]] = [
    ({"kind": "factor", "n": 600851475143}, {"factors": [71, 839, 1471, 6857]}),
    ({"kind": "factor", "n": 6553599998492672}, {"factors": [2] * 16 + [99999999977]}),
    ({"kind": "factor", "n": 2**53 - 1}, {"factors": [6361, 69431, 20394401]}),
    ({"kind": "factor", "n": 1}, {"factors": []}),
]

REFUSED: list[Any] = [
    *(None, True, 7, "count", [], [{"kind": "count"}], {}),
    *({"kind": kind} for kind in (None, 1, [], {}, ["words"], "nosuch", "constructor", "__proto__", "run", "")),
    *({"kind": "words", **more} for more in ({}, {"text": None}, {"text": []}, {"text": {"a": "b"}})),
    *({"kind": "factor", "n": n} for n in (None, True, [], {}, "x", "", 0, -1, 1.5, 2**53, 2**64, 2**70)),
    {"kind": "factor"},
    *({"kind": "count", "path": path} for path in (None, [], {}, "", "/", "/nosuch", "/etc/passwd/x")),
    {"kind": "count"},
]

# All of it is JSON, and passes through stoker as it is.
ODD_JSON = (
    b"[" * 900 + b"]" * 900,
    b'{"a":' * 450 + b"{}" + b"}" * 450,
    b"9" * 5000,
    b"[1e400,-1e400,1e-400,0.1e+1,-0]",
    rb'{"\u0000a":1,"":2,"\ud83d\udd25":3,"__proto__":4,"#text":5}',
    b'{"a":1,"a":2}',
    b'"' + rb"\u001f\u007f\u2028\ufeff\ufffe\\n\t" * 100 + b'"',
    '"\u2028\u2029\u0085\ufeff"'.encode(),
)


def count_jobs(folder: Path) -> list[tuple[Any, Any]]:
    path = folder / "un fichier $HOME * ~ 日本 🔥.txt"
    path.write_text("one two\nthree\n\nno end")
    empty = folder / "empty"
    empty.touch()
    return [
        ({"kind": "count", "path": str(path)}, {"lines": 3, "bytes": 21}),
        ({"kind": "count", "path": str(empty)}, {"lines": 0, "bytes": 0}),
        ({"kind": "count", "path": str(path), "more": ["\u2028\u0085"]}, {"lines": 3, "bytes": 21}),
    ]


def jobs(language: Language, folder: Path) -> list[tuple[Any, Any]]:
    """(payload, result) of whatever the worker can do."""
    others = [*WORDS, *FACTOR] if language.kinds >= {"words", "factor"} else []
    return [*others, *count_jobs(folder)]


@pytest.fixture(params=[pytest.param(language, id=language.name) for language in LANGUAGES])
def language(request: pytest.FixtureRequest) -> Language:
    assert isinstance(request.param, Language)
    return request.param


@pytest.fixture
def start(language: Language, workshop: Workshop) -> Iterator[Callable[..., Conversation]]:
    """Starts the worker, with these variables in its environment."""
    folder = workshop.folder(language)
    started: list[Conversation] = []

    def begin(**env: str) -> Conversation:
        started.append(language.start(folder, **env))
        return started[-1]

    yield begin
    for worker in started:
        worker.end()


Start = Callable[..., Conversation]


def test_it_does_its_jobs_one_after_the_other_and_leaves_when_stdin_ends(
    start: Start, language: Language, tmp_path: Path
) -> None:
    worker = start()
    for number, (payload, expected) in enumerate(jobs(language, tmp_path) * 2):
        assert result(worker.ask(JOB % number, payload)) == expected, payload
    assert worker.finish() == 0


def test_it_leaves_at_once_when_there_never_was_a_job(start: Start) -> None:
    assert start().finish() == 0


def test_it_leaves_the_end_by_sigterm_to_the_system(start: Start, tmp_path: Path) -> None:
    worker = start()
    payload, expected = count_jobs(tmp_path)[0]
    assert result(worker.ask(JOB % 0, payload)) == expected
    worker.signal(signal.SIGTERM)
    assert worker.exit_code() in TERMINATED


def test_it_echoes_any_id(start: Start, tmp_path: Path) -> None:
    worker = start()
    payload, expected = count_jobs(tmp_path)[0]
    for job_id in ODD_IDS:
        assert result(worker.ask(job_id, payload)) == expected


def test_it_refuses_a_payload_it_cannot_use_for_good_and_goes_on(start: Start, tmp_path: Path) -> None:
    worker = start()
    payload, expected = count_jobs(tmp_path)[0]
    for number, refused in enumerate(REFUSED):
        reply = worker.ask(JOB % number, refused)
        assert (reply.status, reply.retry) == ("error", False), refused
        assert reply.message != "worker reported error", "the message says nothing"
    assert result(worker.ask(JOB % 0, payload)) == expected
    assert worker.finish() == 0


def test_no_json_makes_it_crash(start: Start, tmp_path: Path) -> None:
    worker = start()
    payload, expected = count_jobs(tmp_path)[0]
    for number, odd in enumerate(ODD_JSON):
        within = msgspec.json.encode({**payload, "more": msgspec.Raw(odd)})
        for raw in (odd, within):
            reply = worker.ask(JOB % number, raw)
            assert reply.status == "ok" or (reply.status, reply.retry) == ("error", False), (reply, raw[:40])
    assert result(worker.ask(JOB % 99, payload)) == expected
    assert worker.finish() == 0


def test_it_reads_a_payload_of_a_megabyte(start: Start, language: Language, tmp_path: Path) -> None:
    worker = start()
    text = '日本 "\\" { ] ' * 60_000
    if "words" in language.kinds:
        expected: Any = {"characters": len(text), "words": len(text.split()), "longest": '"\\"'}
        payload: Any = {"kind": "words", "text": text}
    else:
        payload, expected = count_jobs(tmp_path)[0]
        payload = {**payload, "more": text}
    assert len(msgspec.json.encode(payload)) > 1_000_000
    assert result(worker.ask(JOB % 0, payload)) == expected
    assert worker.finish() == 0


def test_a_failure_that_may_pass_can_be_repeated(start: Start, tmp_path: Path) -> None:
    worker = start()
    # It opens, where one may, and cannot be read from its start. (Not "self": the shell that opens it becomes wc.)
    reply = worker.ask(JOB % 0, {"kind": "count", "path": f"/proc/{os.getpid()}/mem"})
    assert (reply.status, reply.retry) == ("error", True)
    assert reply.message != "worker reported error", "the message says nothing"
    payload, expected = count_jobs(tmp_path)[0]
    assert result(worker.ask(JOB % 1, payload)) == expected


def test_it_puts_its_job_back_while_the_machine_is_busy(start: Start, tmp_path: Path) -> None:
    worker = start(MAX_LOAD="0")
    payload, _ = count_jobs(tmp_path)[0]
    reply = worker.ask(JOB % 0, payload)
    assert (reply.status, reply.retry_after_secs) == ("throttled", 30)
    assert worker.finish() == 0


def test_it_tells_its_progress_through_a_big_file(start: Start, language: Language, tmp_path: Path) -> None:
    size = 2 * PIECE + 2
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(size - 1)
        file.seek(size - 1)
        file.write(b"\n")
    worker = start()
    worker.send(JOB % 0, {"kind": "count", "path": str(path)})
    steps = []
    while (reply := worker.receive()).status == "progress":
        assert reply.id == JOB % 0
        assert isinstance(reply.done, int)
        assert reply.progress == pytest.approx(reply.done / size, abs=0.001)
        steps.append((reply.done, reply.total))
    assert result(reply) == {"lines": 1, "bytes": size}
    assert steps == ([] if language.name == "sh" else [(PIECE, size), (2 * PIECE, size)])


def test_a_path_is_the_name_of_a_file_and_nothing_more(start: Start, tmp_path: Path) -> None:
    worker = start()
    for number, name in enumerate(("-n", "a\nb", "end\n", "$(touch pwned)", "`touch pwned`", "%s", "é\u0301")):
        path = tmp_path / name
        path.write_text("\n" * number)
        reply = worker.ask(JOB % number, {"kind": "count", "path": str(path)})
        if reply.status == "error":
            assert (reply.retry, "\n" in name) == (False, True), "only what the shell without JSON cannot unescape"
        else:
            assert result(reply) == {"lines": number, "bytes": number}, name
    assert worker.ask(JOB % 8, {"kind": "count", "path": f"{tmp_path}/-n\0"}).status == "error"
    for number, name in enumerate(("| touch pwned", "|touch pwned|", "~", "~root", "php://stdin")):
        assert worker.ask(JOB % number, {"kind": "count", "path": name}).status == "error", name
    assert not list(tmp_path.glob("pwned"))
    assert not list(Path.cwd().glob("pwned"))
