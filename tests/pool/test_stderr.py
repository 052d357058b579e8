"""What workers write to stderr: logged with the job it belongs to, and of a flood as much as anybody can read."""

import os
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from supervisor.core.job import State
from supervisor.pool import stderr
from supervisor.pool.stderr import BURST, CHUNK, LINES_PER_SECOND, MAX_LINE, REPORT_EVERY, StderrLog
from tests.pool.rig import python, rig
from tests.workers import command

SPEAKS_BEFORE_IT_ANSWERS = python(
    "import json, os, sys",
    "for line in sys.stdin.buffer:",
    "    request = json.loads(line)",
    "    os.write(2, (request['id'] + chr(10)).encode())",
    "    status = request['payload']",
    "    os.write(1, (json.dumps({'id': request['id'], 'status': status, 'message': 'no'}) + chr(10)).encode())",
)


class Clock:
    """In place of `time`, in supervisor.pool.stderr."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(stderr, "time", clock)
    return clock


class Pipe:
    """A child of which there is nothing but its stderr, and the log that follows it."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe()
        os.set_blocking(self._out, False)
        self.child: Any = SimpleNamespace(pid=4711, stderr=self._out)
        slot: Any = SimpleNamespace(pool=SimpleNamespace(name="p"), number=2, jobs_done=0, run=None)
        self.budget = stderr.Budget()
        self.log = StderrLog(slot, self.budget)

    def say(self, data: bytes) -> None:
        assert os.write(self._in, data) == len(data)

    def hang_up(self) -> None:
        os.close(self._in)
        self._in = -1

    def close(self) -> None:
        if self._in >= 0:
            self.hang_up()
        os.close(self._out)


async def followed(*chunks: bytes, clock: Clock | None = None, seconds: float = 0.0) -> list[Any]:
    """The events of a child that writes these chunks, so many seconds apart, and ends."""
    pipe = Pipe()
    try:
        with capture_logs() as events:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pipe.log.follow, pipe.child)
                await trio.testing.wait_all_tasks_blocked()
                for chunk in chunks:
                    pipe.say(chunk)
                    pipe.log.catch_up()
                    if clock is not None:
                        clock.now += seconds
                pipe.hang_up()
        return events
    finally:
        pipe.close()


def lines(events: list[Any]) -> list[str]:
    return [event["line"] for event in events if event["event"] == "worker_stderr"]


def dropped(events: list[Any]) -> int:
    return sum(event["lines"] for event in events if event["event"] == "worker_stderr_dropped")


async def test_each_line_says_where_it_comes_from() -> None:
    [event] = await followed(b"hello\n")
    assert event == {
        "event": "worker_stderr",
        "log_level": "info",
        "line": "hello",
        "pool": "p",
        "slot": 2,
        "pid": 4711,
        "job": None,
        "queue": None,
        "attempt": None,
    }


async def test_lines_are_put_together_across_chunks_and_the_last_needs_no_end() -> None:
    assert lines(await followed(b"one\ntw", b"o", b"\n\r\nthr", b"ee")) == ["one", "two", "", "three"]


@pytest.mark.parametrize(
    ("said", "level", "line"),
    [
        (b"<0>down", "error", "down"),
        (b"<3>broken", "error", "broken"),
        (b"<4> odd", "warning", " odd"),
        (b"<5>well", "info", "well"),
        (b"<6>", "info", ""),
        (b"<7>details", "debug", "details"),
        (b"<8>tag", "info", "<8>tag"),
        (b"<p>3</p>", "info", "<p>3</p>"),
        (b" <3>later", "info", " <3>later"),
    ],
)
async def test_a_priority_before_a_line_is_its_level(said: bytes, level: str, line: str) -> None:
    [event] = await followed(said + b"\n")
    assert (event["log_level"], event["line"]) == (level, line)


async def test_bytes_that_are_no_text_are_replaced() -> None:
    assert lines(await followed(b"\xff\xfe\n")) == ["\ufffd\ufffd"]


@pytest.mark.parametrize("size", [MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, 3 * MAX_LINE])
@pytest.mark.parametrize("cut", [1, 100, MAX_LINE])
async def test_a_line_over_4_kib_is_cut_and_its_rest_is_no_line_of_its_own(size: int, cut: int) -> None:
    line = bytes(ord("a") + i % 26 for i in range(size))
    text = line + b"\nnext\n"
    whole = await followed(text)
    pieces = await followed(*(text[i : i + cut] for i in range(0, len(text), cut)))
    assert lines(whole) == lines(pieces) == [line[:MAX_LINE].decode(), "next"]


async def test_after_the_burst_so_many_lines_a_second_are_logged(clock: Clock) -> None:
    seconds = 5
    step = 0.25
    chunk = b"x\n" * 500
    events = await followed(*[chunk] * (4 * seconds + 1), clock=clock, seconds=step)
    logged = len(lines(events))
    assert BURST <= logged <= BURST + seconds * LINES_PER_SECOND
    assert logged + dropped(events) == 500 * (4 * seconds + 1)


async def test_a_silence_saves_up_one_burst_and_not_two(clock: Clock) -> None:
    events = await followed(b"hello\n", *[b"x\n" * BURST] * 3, clock=clock, seconds=0.0)
    assert len(lines(events)) == BURST
    pipe = Pipe()
    try:
        with capture_logs() as events:
            clock.now += 3600
            for _ in range(3):
                pipe.log._take(b"x\n" * BURST)
        assert len(lines(events)) == BURST
    finally:
        pipe.close()


async def test_what_was_dropped_is_reported_once_a_second(clock: Clock) -> None:
    events = await followed(*[b"x\n" * 2000] * 21, clock=clock, seconds=0.25)
    reports = [event for event in events if event["event"] == "worker_stderr_dropped"]
    assert 5 <= len(reports) <= 8
    assert all(report["pid"] == 4711 and report["lines"] > 0 for report in reports)


async def test_what_was_dropped_is_reported_though_the_child_says_nothing_more(autojump_clock: object) -> None:
    pipe = Pipe()
    try:
        with capture_logs() as events:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pipe.log.follow, pipe.child)
                for _ in range(3):
                    pipe.say(b"x\n" * 10_000)
                    await trio.testing.wait_all_tasks_blocked()
                await trio.sleep(2 * REPORT_EVERY)
                assert len(lines(events)) + dropped(events) == 30_000
                nursery.cancel_scope.cancel()
    finally:
        pipe.close()


async def test_the_last_words_are_logged_though_somebody_else_holds_the_pipe_open(autojump_clock: object) -> None:
    pipe = Pipe()
    try:
        with capture_logs() as events:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pipe.log.follow, pipe.child)
                pipe.say(b"killed in the middle of a wo")
                await pipe.log.drain()
                nursery.cancel_scope.cancel()
        assert lines(events) == ["killed in the middle of a wo"]
    finally:
        pipe.close()


def test_a_line_that_is_not_ended_belongs_to_the_job_that_ends() -> None:
    pipe = Pipe()
    try:
        with capture_logs() as events:
            pipe.log.listen(pipe.child)
            pipe.say(b"first\nno end")
            pipe.log.job_ends()
            assert lines(events) == ["first", "no end"]
            pipe.say(b"second\n")
            pipe.log.job_ends()
            pipe.log.job_ends()
            assert lines(events) == ["first", "no end", "second"]
            pipe.hang_up()
            pipe.log.job_ends()
        assert [event["event"] for event in events] == ["worker_stderr"] * 3
    finally:
        pipe.close()


async def test_a_closed_pipe_is_not_read_after_the_end() -> None:
    """Its number may be somebody else's by then."""
    pipe = Pipe()
    try:
        pipe.log._child = pipe.child
        await pipe.log.drain()
        pipe.say(b"to somebody else\n")
        pipe.log.catch_up()
        assert os.read(pipe.child.stderr, 100) == b"to somebody else\n"
    finally:
        pipe.close()


@given(
    text=st.lists(st.integers(0, 300).map(lambda size: b"x" * size), max_size=60).map(b"\n".join),
    cuts=st.lists(st.integers(1, 400), min_size=1, max_size=20),
    allowance=st.integers(0, 40),
)
def test_logged_and_dropped_are_all_lines_wherever_the_chunks_end(text: bytes, cuts: list[int], allowance: int) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stderr, "time", clock)
        pipe = Pipe()
    try:
        with pytest.MonkeyPatch.context() as patch, capture_logs() as events:
            patch.setattr(stderr, "time", clock)
            pipe.budget.lines = float(allowance)
            place = turn = 0
            while place < len(text):
                size = cuts[turn % len(cuts)]
                pipe.log._take(text[place : place + size])
                place, turn = place + size, turn + 1
            pipe.log._finish()
        written = [line.decode() for line in text.split(b"\n")]
        if not written[-1]:
            written.pop()  # after the last end there is no line
        logged = lines(events)
        assert logged == written[: len(logged)]
        assert len(logged) == min(allowance, len(written))
        assert len(logged) + dropped(events) == len(written)
    finally:
        pipe.close()


async def test_a_line_that_was_begun_in_a_flood_is_logged_from_its_beginning(clock: Clock) -> None:
    flood = b"x\n" * (CHUNK // 2 - 2)
    pipe = Pipe()
    try:
        with capture_logs() as events:
            for chunk in (flood, flood + b"beg", b"inn"):
                pipe.log._take(chunk)
            clock.now += 1
            pipe.log._take(b"ing\n")
        assert lines(events)[-1] == "beginning"
    finally:
        pipe.close()


async def test_what_a_worker_says_right_before_it_answers_belongs_to_that_job(tmp_path) -> None:
    """Its two pipes are heard in any order."""
    with capture_logs() as events:
        async with rig(SPEAKS_BEFORE_IT_ANSWERS, folder=tmp_path) as daemon:
            ids = await daemon.submit(*["ok", "error"] * 100)
            jobs = await daemon.ends(*ids)
    spoken = {event["job"]: event["line"] for event in events if event["event"] == "worker_stderr"}
    assert spoken == {job_id: job_id for job_id in ids}
    for job in jobs:
        assert job.state is State.DONE or (job.error is not None and job.error.stderr == job.id)


@pytest.mark.provokes("stderr rate", "stderr flood", program="flood_stderr.py")
async def test_a_flood_blocks_nobody_and_every_line_of_it_is_accounted_for(tmp_path) -> None:
    size = 3_000_000
    with capture_logs() as events:
        async with rig(command("flood_stderr"), folder=tmp_path) as daemon:
            began = trio.current_time()
            job = await daemon.run({"bytes": size})
            secs = trio.current_time() - began
            assert job.state is State.DONE
        assert lines(events)[0] == "#" * 99
    assert len(lines(events)) <= BURST + (secs + 1) * LINES_PER_SECOND
    assert len(lines(events)) + dropped(events) == size / 100


@pytest.mark.provokes("stderr line", program="flood_stderr.py")
async def test_a_flood_without_an_end_of_line_is_one_line(tmp_path) -> None:
    with capture_logs() as events:
        async with rig(command("flood_stderr"), folder=tmp_path) as daemon:
            assert (await daemon.run({"bytes": 3_000_000, "lines": False})).state is State.DONE
    assert lines(events) == ["#" * MAX_LINE]
    assert dropped(events) == 0


async def test_what_is_cut_off_an_endless_line_is_counted_in_bytes(clock: Clock) -> None:
    events = await followed(*[b"x" * 10_000] * 5, b"\nshort\n", clock=clock)
    assert [len(line) for line in lines(events)] == [stderr.MAX_LINE, 5]
    reports = [event for event in events if event["event"] == "worker_stderr_dropped"]
    assert sum(report["bytes"] for report in reports) == 50_000 - stderr.MAX_LINE
    assert sum(report["lines"] for report in reports) == 0


async def test_of_a_flood_lines_and_bytes_are_counted(clock: Clock) -> None:
    events = await followed(*[b"0123456789\n" * 5000] * 4, clock=clock)
    reports = [event for event in events if event["event"] == "worker_stderr_dropped"]
    assert len(lines(events)) + sum(report["lines"] for report in reports) == 20_000
    assert 11 * len(lines(events)) + sum(report["bytes"] for report in reports) == 220_000
