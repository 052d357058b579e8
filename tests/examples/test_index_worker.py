"""The demo's worker: its facts against a file known by heart, and against other ways to count."""

import dis
import io
import re
import sysconfig
import tokenize
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from tests.examples.conversation import Conversation, result
from tests.examples.places import DEMO
from tests.workers import command

JOB = "0199f3c2-5b7e-7c31-9a04-6e0d5c8b1f20"
LIBRARY = Path(sysconfig.get_path("stdlib"))

# No `if x: y` on one line, no `case`, no tabs: there, blocks and indentation are the same thing.
PLAIN_FILES = ["json/decoder.py", "heapq.py", "textwrap.py", "asyncio/locks.py", "contextlib.py", "queue.py"]

KNOWN = '''\
"""Documented."""
import os, os.path as p, json.decoder
from collections.abc import Iterator
from . import sibling
from .sibling import other


class Public:
    """Documented."""

    @property
    def undocumented(self):
        import re

        def inner():
            """Nobody's interface."""

    def _private(self):
        """Not counted."""

    class Inner:
        async def documented(self):
            """Documented."""
            return [x async for x in self]


class _Private:
    def method(self): ...


def branches(x):
    if x:
        pass
    elif x is None:
        for y in x:
            while y:
                y -= 1
    else:
        if y:
            pass
'''


def ask(payload: object) -> Any:
    with Conversation(worker_argv()) as worker:
        return result(worker.ask(JOB, payload))


def worker_argv() -> list[str]:
    python = command("echo")[0]
    return [python, str(DEMO / "index_worker.py")]


@pytest.fixture
def known(tmp_path: Path) -> Path:
    path = tmp_path / "known.py"
    path.write_text(KNOWN)
    return path


def test_it_finds_in_a_known_file_what_is_there(known: Path) -> None:
    assert ask({"path": str(known)}) == {
        "lines": 40,
        "bytes": len(KNOWN),
        "functions": 6,
        "async_functions": 1,
        "classes": 3,
        "longest": {"name": "branches", "line": 31, "lines": 10},
        "imports": ["collections", "json", "os", "re"],
        "documented": 3,  # the module, Public, Inner.documented
        "documentable": 6,  # and undocumented, Inner, branches
        "nesting": 4,  # branches, elif, for, while
    }


def test_an_empty_file_has_nothing_in_it(tmp_path: Path) -> None:
    path = tmp_path / "empty.py"
    path.touch()
    facts = ask({"path": str(path)})
    assert facts.pop("longest") is None
    assert facts.pop("imports") == []
    assert facts.pop("documentable") == 1  # the module itself
    assert set(facts.values()) == {0}


def test_a_coding_line_is_honoured(tmp_path: Path) -> None:
    path = tmp_path / "latin.py"
    path.write_bytes("# coding: latin-1\ndef é(): pass\n".encode("latin-1"))
    assert ask({"path": str(path)})["longest"]["name"] == "é"


@pytest.mark.parametrize("name", PLAIN_FILES)
def test_its_counts_are_those_of_the_tokenizer_and_the_compiler(name: str) -> None:
    path = LIBRARY / name
    facts = ask({"path": str(path)})
    counted = from_tokens(path.read_bytes())
    assert {key: facts[key] for key in counted} == counted
    assert facts["imports"] == sorted(set(from_code(compile(path.read_bytes(), path, "exec", optimize=0))))


def from_tokens(source: bytes) -> dict[str, int]:
    tokens = list(tokenize.tokenize(io.BytesIO(source).readline))
    words = [token.string for token in tokens if token.type == tokenize.NAME]
    indents = {tokenize.INDENT: 1, tokenize.DEDENT: -1}
    depth = deepest = 0
    for token in tokens:
        depth += indents.get(token.type, 0)
        deepest = max(deepest, depth)
    return {
        "lines": tokens[-1].start[0] - 1,
        "bytes": len(source),
        "functions": words.count("def"),
        "async_functions": list(pairwise(words)).count(("async", "def")),
        "classes": words.count("class"),
        "nesting": deepest,
    }


def from_code(code: CodeType) -> Iterator[str]:
    """The top-level names that it imports, relative imports left out: two constants, level and names, come before."""
    instructions = list(dis.get_instructions(code))
    for place, instruction in enumerate(instructions):
        if instruction.opname == "IMPORT_NAME" and instructions[place - 2].argval == 0:
            yield instruction.argval.partition(".")[0]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from from_code(constant)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"def f(:\n", "not valid Python 3.*: .*, line 1"),
        (b"# coding: nosuch\n", "not valid Python 3.*: .*nosuch"),
        (b"x = '\xff'\n", "not valid Python 3.*utf-8"),
        (b"x = 1\0\n", "null bytes"),
        (b"x = " + b"(" * 300 + b")" * 300, "too many nested parentheses"),
        (b"x = " + b"-" * 100_000 + b"1", "nested too deep"),
        (None, "cannot be read: .*No such file"),
    ],
)
def test_what_it_cannot_parse_is_an_error_that_says_why_and_is_not_repeated(
    content: bytes | None, message: str, known: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bad.py"
    if content is not None:
        path.write_bytes(content)
    with Conversation(worker_argv()) as worker:
        reply = worker.ask(JOB, {"path": str(path)})
        assert (reply.status, reply.retry) == ("error", False)
        assert re.search(message, reply.message)
        assert result(worker.ask(JOB, {"path": str(known)}))["functions"] == 6, "it does not go on after that"
        assert worker.finish() == 0


def test_the_path_may_come_alone(known: Path) -> None:
    assert ask(str(known)) == ask({"path": str(known)})


@pytest.mark.parametrize("payload", [None, 7, [], {}, {"path": 7}])
def test_a_payload_without_a_path_is_refused(payload: object) -> None:
    with Conversation(worker_argv()) as worker:
        reply = worker.ask(JOB, payload)
        assert (reply.status, reply.retry) == ("error", False)
        assert "path" in reply.message
