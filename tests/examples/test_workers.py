"""The example workers, each spawned for real."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.examples.conversation import Conversation, result
from tests.examples.places import WORKERS

JOB = "0199f3c2-5b7e-7c31-9a04-6e0d5c8b1f2%x"
ODD_IDS = ("", "1", "é-日本-🔥", "' $(false) %s *", "x" * 300)

TEXT = "Être ou ne pas être, « être » !\n日本語 🔥\n"
LOG = """\
127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /ü HTTP/1.0" 200 2326
127.0.0.1 - - [10/Oct/2000:13:55:37 -0700] "GET /ü HTTP/1.0" 304 -
::1 - - [10/Oct/2000:13:55:38 -0700] "GET / HTTP/1.1" 404 100 "-" "curl/7"
not a log line
"""


@dataclass(frozen=True)
class Example:
    """A worker, what it can do, and what it must refuse. `needs` is the program that runs or builds it."""

    path: str
    needs: str
    jobs: Callable[[Path], list[tuple[Any, Any]]]  # the folder for its files -> (payload, result)
    refused: tuple[Any, ...]


def python_jobs(_: Path) -> list[tuple[Any, Any]]:
    common = [["être", 3], ["ou", 1], ["ne", 1], ["pas", 1], ["日本語", 1]]
    return [
        ({"text": TEXT}, {"words": 7, "lines": 2, "longest": "être", "common": common, "reading_secs": 1.8}),
        ({"text": ""}, {"words": 0, "lines": 0, "longest": "", "common": [], "reading_secs": 0.0}),
    ]


def node_jobs(folder: Path) -> list[tuple[Any, Any]]:
    path = folder / "ünïcode\u2028 file"  # JSON need not escape U+2028, and many line readers break there
    content = TEXT.encode() * 500_000
    path.write_bytes(content)
    sha256, md5 = hashlib.sha256(content).hexdigest(), hashlib.md5(content).hexdigest()
    return [
        ({"path": str(path)}, {"algorithm": "sha256", "digest": sha256, "bytes": len(content)}),
        ({"path": str(path), "algorithm": "md5"}, {"algorithm": "md5", "digest": md5, "bytes": len(content)}),
    ]


def perl_jobs(folder: Path) -> list[tuple[Any, Any]]:
    path = folder / "accès.log"
    path.write_text(LOG, encoding="utf-8")
    summary = {
        "requests": 3,
        "bytes": 2426,
        "status": {"200": 1, "304": 1, "404": 1},
        "top": [["/ü", 2], ["/", 1]],
        "not_understood": 1,
    }
    nothing = {"requests": 0, "bytes": 0, "status": {}, "top": [], "not_understood": 0}
    return [({"path": str(path)}, summary), ({"lines": LOG.splitlines()}, summary), ({"lines": []}, nothing)]


def sh_jobs(folder: Path) -> list[tuple[Any, Any]]:
    path = folder / "un fichier $HOME * 日本.txt"
    path.write_text("one two\nthree\n")
    return [({"path": str(path)}, {"lines": 2, "words": 3, "bytes": 14})]


def c_jobs(_: Path) -> list[tuple[Any, Any]]:
    return [
        ({"n": 600851475143}, {"factors": [71, 839, 1471, 6857]}),
        ({"n": 2**64 - 1}, {"factors": [3, 5, 17, 257, 641, 65537, 6700417]}),
        ({"n": 1}, {"factors": []}),
        ({"x": {"n": 5}, "n\\": 6, "y": ['"}', "\\", {"n": 7}], "n": 8, "é🔥": None}, {"factors": [2, 2, 2]}),
        (b'{ "n" :\t9 }', {"factors": [3, 3]}),
    ]


PYTHON = Example("python/worker.py", sys.executable, python_jobs, (None, 7, [], {}, {"text": 1}, {"path": "x"}))
NODE = Example(
    "node/worker.js",
    "node",
    node_jobs,
    (None, 7, {}, {"path": 1}, {"path": "/nosuch"}, {"path": "/", "algorithm": "x"}),
)
PERL = Example(
    "perl/worker.pl", "perl", perl_jobs, (None, 7, [], {}, {"path": True}, {"path": "/"}, {"path": "/nosuch"})
)
SH = Example(
    "sh/worker.sh", "sh", sh_jobs, (None, 7, [], {}, {"path": 1}, {"path": "/"}, {"path": "/nosuch"}, {"path": 'a"b\\'})
)
C_REFUSED: tuple[Any, ...] = (
    None,
    7,
    [[[]]],
    {},
    {"n": 0},
    {"n": -1},
    {"n": 1.5},
    {"n": "7"},
    {"m": 7},
    {"n": 2**64},
    {"m": {"n": 7}},
)
C = Example("c/worker.c", "cc", c_jobs, C_REFUSED)

ALL = [pytest.param(example, id=example.path) for example in (PYTHON, NODE, PERL, SH, C)]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Example], list[str]]:
    """Gives the argv of an example, compiled where it has to be; skips where its language is not installed."""
    program = tmp_path_factory.mktemp("c") / "worker"

    def argv(example: Example) -> list[str]:
        found = shutil.which(example.needs)
        source = str(WORKERS / example.path)
        if found is None:
            pytest.skip(f"{example.needs} is not installed")
        if example is not C:
            return [found, source]
        if not program.exists():
            strict = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
            subprocess.run([found, "-O2", *strict, "-o", str(program), source], check=True)
        return [str(program)]

    return argv


@pytest.fixture(params=ALL)
def example(request: pytest.FixtureRequest) -> Example:
    assert isinstance(request.param, Example)
    return request.param


@pytest.fixture
def worker(example: Example, built: Callable[[Example], list[str]]) -> Iterator[Conversation]:
    with Conversation(built(example)) as conversation:
        yield conversation


def test_it_does_its_jobs_one_after_the_other_and_leaves_when_stdin_ends(
    worker: Conversation, example: Example, tmp_path: Path
) -> None:
    jobs = example.jobs(tmp_path) * 2
    for number, (payload, expected) in enumerate(jobs):
        assert result(worker.ask(JOB % number, payload)) == expected
    assert worker.finish() == 0


def test_it_echoes_any_id(worker: Conversation, example: Example, tmp_path: Path) -> None:
    payload, expected = example.jobs(tmp_path)[0]
    for job_id in ODD_IDS:
        assert result(worker.ask(job_id, payload)) == expected


def test_it_refuses_a_payload_it_cannot_use_for_good_and_goes_on(
    worker: Conversation, example: Example, tmp_path: Path
) -> None:
    payload, expected = example.jobs(tmp_path)[0]
    for number, refused in enumerate(example.refused):
        reply = worker.ask(JOB % number, refused)
        assert (reply.status, reply.retry) == ("error", False), refused
        assert reply.message != "worker reported error", "the message says nothing"
    assert result(worker.ask(JOB % 0, payload)) == expected
    assert worker.finish() == 0


def test_it_leaves_at_once_when_there_never_was_a_job(worker: Conversation) -> None:
    assert worker.finish() == 0


def test_it_reads_a_request_bigger_than_a_pipe(worker: Conversation, example: Example, tmp_path: Path) -> None:
    payload, expected = example.jobs(tmp_path)[0]
    padding = '日本語\\"}{][ ' * 10_000
    assert result(worker.ask(JOB % 0, {**payload, "zz_padding": padding})) == expected


def python_with_counter(folder: Path, body: str) -> Conversation:
    """The Python worker, with `body` run whenever it counts."""
    (folder / "sabotage.py").write_text(
        "import collections\n"
        "class Counter(collections.Counter):\n"
        "    def __init__(self, words):\n"
        f"        {body}\n"
        "        super().__init__(words)\n"
        "collections.Counter = Counter\n"
    )
    start = f"import runpy, sabotage; runpy.run_path({str(WORKERS / PYTHON.path)!r}, run_name='__main__')"
    return Conversation([PYTHON.needs, "-c", start], env={"PYTHONPATH": str(folder)})


def test_python_says_that_a_failure_which_may_pass_can_be_repeated(tmp_path: Path) -> None:
    with python_with_counter(tmp_path, "raise OSError('no space')") as worker:
        reply = worker.ask(JOB % 0, {"text": "a"})
        assert (reply.status, reply.retry, reply.message) == ("error", True, "OSError: no space")


def test_python_keeps_a_stray_print_out_of_the_conversation(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with python_with_counter(tmp_path, "print('counting')") as worker:
        assert result(worker.ask(JOB % 0, {"text": "a"}))["words"] == 1
        assert worker.finish() == 0
    assert "counting" in capfd.readouterr().err


def test_node_tells_its_progress_through_a_big_file(built: Callable[[Example], list[str]], tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(bytes(20 * 1024 * 1024))
    with Conversation(built(NODE)) as worker:
        worker.send(JOB % 0, {"path": str(path)})
        steps = []
        while (reply := worker.receive()).status == "progress":
            steps.append((reply.id, reply.progress, reply.done, reply.total))
        assert result(reply)["bytes"] == 20 * 1024 * 1024
    assert len(steps) == 2
    for job_id, progress, done, total in steps:
        assert job_id == JOB % 0
        assert total == 20 * 1024 * 1024
        assert isinstance(done, int)
        assert progress == pytest.approx(done / total)


def test_sh_puts_its_job_back_while_the_machine_is_busy(built: Callable[[Example], list[str]], tmp_path: Path) -> None:
    if not Path("/proc/loadavg").exists():
        pytest.skip("this system tells no load average in /proc")
    payload, _ = sh_jobs(tmp_path)[0]
    with Conversation(built(SH), env={"MAX_LOAD": "0"}) as worker:
        reply = worker.ask(JOB % 0, payload)
        assert (reply.status, reply.retry_after_secs) == ("throttled", 30)
        assert worker.finish() == 0


def test_c_gives_up_on_a_line_that_is_no_request(built: Callable[[Example], list[str]]) -> None:
    argv = built(C)
    for line in (b"\n", b"{\n", b'{"id"\n', b'{"id":"1\n', b'{"id":"1\\', b'{"x":[[{"id":"1"\n', b'{"id":7}\n', b"]\n"):
        process = subprocess.run(argv, input=line, capture_output=True, check=False, timeout=20)
        assert process.returncode == 1, line
        assert process.stdout == b"", line
        assert b"not a request" in process.stderr
