"""Killed at any moment, `stoker map --resume` ends with the output of one run: no line missing, none twice, none torn.

It kills itself before, in and after what it does to its files, and is killed from outside, wherever it is then.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import IO

import pytest

from supervisor.mapping.journal import SUFFIX

WORKER = Path(__file__).with_name("worker.py")
LINES = 1500
MOST_MOMENTS = 60  # of what is done to files
LONGEST = 1.2  # seconds until a kill from outside
NEVER = 10**9
PATIENCE = 120.0


def text_of(number: int) -> bytes:
    """Of each kind some: ones that pass, that fail, that pass at the second attempt; that are no JSON; blank ones."""
    match number % 23:
        case 3 | 11:
            return b'{"custom_id":"c%d","do":"fail"}' % number
        case 5:
            return b'{"n":%d,"do":"fail once"}' % number
        case 7:
            return b"no JSON %d" % number
        case 13:
            return b" \t" if number % 2 else b""
        case 17:
            return b'{"n":%d,"do":"%b"}' % (number, b"long" * 300)
    return b'{"custom_id":%d,"do":"pass"}' % number


def answer_to(number: int, text: bytes) -> dict[str, object] | None:
    """The record, as the worker's own arithmetic has it."""
    if not text.strip():
        return None
    if number % 23 == 7:
        why = "invalid character (byte 1)"
        message = f"the line is not JSON ({why}): 'no JSON {number}'"
        return {"line": number, "error": {"cause": "not_json", "message": message}}
    payload = json.loads(text)
    name = {"custom_id": payload["custom_id"]} if "custom_id" in payload else {}
    if payload["do"] == "fail":
        return {"line": number, **name, "error": {"cause": "error", "message": f"cannot do {payload['custom_id']}"}}
    return {"line": number, **name, "result": {"size": len(payload["do"]), "of": payload}}


class House:
    """One input, and the runs that it takes."""

    def __init__(self, folder: Path, *, unordered: bool, apart: bool, piped: bool) -> None:
        self.folder = folder
        self.kills = 0
        self.resumed = 0  # runs that had something to go on with
        self._unordered = unordered
        self._apart = apart
        self._piped = piped
        lines = [text_of(number) for number in range(1, LINES + 1)]
        (folder / "in").write_bytes(b"\n".join(lines))
        self._expected = [
            answer for number, line in enumerate(lines, 1) if (answer := answer_to(number, line)) is not None
        ]

    def run_until(self, at: int, how: str, secs: float | None = None) -> bool:
        """Whether it came to its end; `secs`: killed from outside then."""
        self.resumed += self._has_journal() and (self.folder / "out").stat().st_size > 0
        errors = ["--errors", "errors"] if self._apart else []
        order = ["--unordered"] if self._unordered else []
        source = [] if self._piped else ["--input", "in"]
        options = ["-w", "3", "--retries", "1", "--records", "--resume", "--output", "out", *errors, *order, *source]
        program = [sys.executable, "-m", "tests.mapping.strike", str(at), how, "--", *options, "--"]
        with self._input() as source_end, (self.folder / "stderr").open("wb") as told:
            process = subprocess.Popen(
                [*program, sys.executable, str(WORKER)], stdin=source_end, stderr=told, cwd=self.folder, env=_environ()
            )
            try:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(PATIENCE if secs is None else secs)
                if secs is not None:
                    process.kill()
                code = process.wait(PATIENCE)
            finally:
                process.kill()
                process.wait()
        if code == -signal.SIGKILL:
            self.kills += 1
            return False
        assert code == 1, (self.folder / "stderr").read_text()
        return True

    def check(self) -> None:
        failed = [answer for answer in self._expected if "error" in answer]
        passed = [answer for answer in self._expected if "result" in answer]
        self._compare("out", passed if self._apart else self._expected)
        if self._apart:
            self._compare("errors", failed)
        assert not list(self.folder.glob(f"*{SUFFIX}*"))

    def clear(self) -> None:
        for name in ("out", "errors"):
            (self.folder / name).unlink(missing_ok=True)

    @property
    def finished(self) -> bool:
        """Though it was killed: all is written, and the journal is gone."""
        output = self.folder / "out"
        return not self._has_journal() and output.exists() and output.stat().st_size > 0

    def _has_journal(self) -> bool:
        return (self.folder / f"out{SUFFIX}").exists()

    def _compare(self, name: str, wanted: list[dict[str, object]]) -> None:
        data = (self.folder / name).read_bytes()
        assert data.endswith(b"\n")
        found = [json.loads(line) for line in data.splitlines()]
        if self._unordered:
            found.sort(key=lambda answer: int(answer["line"]))
        assert found == wanted

    @contextmanager
    def _input(self) -> Iterator[IO[bytes] | int]:
        if not self._piped:
            yield subprocess.DEVNULL
            return
        with subprocess.Popen(["cat", "in"], cwd=self.folder, stdout=subprocess.PIPE) as replay:
            assert replay.stdout is not None
            yield replay.stdout
            replay.kill()


def _environ() -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": root}


def campaign(house: House, kills: int, seed: int) -> None:
    """Kill it so many times, begin anew where it comes to its end, and let it end in peace at last."""
    random = Random(seed)
    while house.kills < kills:
        if random.random() < 0.7:
            ended = house.run_until(random.randint(1, MOST_MOMENTS), random.choice(["before", "half", "after"]))
        else:
            ended = house.run_until(NEVER, "before", secs=random.random() * LONGEST)
        if ended or house.finished:
            house.check()
            house.clear()
    if house.run_until(NEVER, "before"):
        house.check()


VARIANTS = {
    "ordered-file": {"unordered": False, "apart": False, "piped": False},
    "ordered-apart-pipe": {"unordered": False, "apart": True, "piped": True},
    "unordered-apart-file": {"unordered": True, "apart": True, "piped": False},
    "unordered-pipe": {"unordered": True, "apart": False, "piped": True},
}


@pytest.mark.long
@pytest.mark.parametrize("variant", VARIANTS)
def test_thirty_kills_leave_the_output_of_one_run(tmp_path: Path, variant: str) -> None:
    began = time.monotonic()
    house = House(tmp_path, **VARIANTS[variant])
    campaign(house, 30, seed=1)
    assert house.kills >= 30
    assert house.resumed >= 15
    print(f"{variant}: {house.kills} kills, {house.resumed} runs that went on, in {time.monotonic() - began:.0f} s")


@pytest.mark.parametrize("variant", ["ordered-file", "unordered-apart-file"])
def test_a_few_kills_leave_the_output_of_one_run(tmp_path: Path, variant: str) -> None:
    campaign(House(tmp_path, **VARIANTS[variant]), 3, seed=2)
