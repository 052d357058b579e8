"""Lines as a pool's source of jobs, without a pool."""

from collections import deque
from collections.abc import Callable

from supervisor.config.model import QueueConfig
from supervisor.core.job import Cause, JobError
from supervisor.core.verdict import End, Verdict
from supervisor.lines.line import Line
from supervisor.mapping import again
from supervisor.mapping.ids import new_stem
from supervisor.mapping.work import Work

STEM = new_stem()
FAILED = Verdict(End.FAILED, error=JobError(cause=Cause.ERROR, message="no"))


class Lines:
    """A feed of so many numbers, all of them read ahead."""

    def __init__(self, count: int) -> None:
        self.on_line: Callable[[], None] = lambda: None
        self._lines = deque(Line(number, b"%d" % number) for number in range(1, count + 1))

    @property
    def ended(self) -> bool:
        return not self._lines

    def take(self) -> Line | None:
        return self._lines.popleft() if self._lines else None

    async def run(self) -> None:
        """All is read."""


class Heap:
    """Answers in the order in which they come."""

    def __init__(self) -> None:
        self.on_room: Callable[[], None] = lambda: None
        self.room = True
        self.expected: list[int] = []
        self.answers: list[tuple[int, bytes | str]] = []
        self.passed_count = self.failed_count = 0

    def expect(self, line: Line) -> None:
        self.expected.append(line.number)

    def passed(self, line: Line, result: bytes) -> None:
        self.answers.append((line.number, result))

    def failed(self, line: Line, error: JobError) -> None:
        self.answers.append((line.number, error.message))

    def refused(self, line: Line) -> None:
        self.answers.append((line.number, line.complaint))

    async def run(self) -> None:
        """Nothing is written."""

    async def close(self, *, finished: bool) -> int:
        return len(self.answers)


class Bench:
    """`ended`: how often the work has said that it is done."""

    def __init__(self, count: int, retries: int = 0) -> None:
        self.ended = 0
        self.answers = Heap()
        policy = QueueConfig(name="map", max_attempts=retries + 1)
        self.work = Work(Lines(count), self.answers, policy, 60.0, stem=STEM, done=self._end)

    def _end(self) -> None:
        self.ended += 1

    def give(self) -> "tuple[int, Callable[[Verdict], None]] | None":
        """The number of the next line, and what its worker is to say."""
        run = self.work.checkout(self)  # type: ignore[arg-type]
        return None if run is None else (run.row.seq, lambda verdict: self.work.finished(run, verdict))

    begun = 0


def passed(number: int) -> Verdict:
    return Verdict(End.OK, result=b"%d" % number)


async def test_it_is_done_once_when_the_last_line_has_its_answer() -> None:
    bench = Bench(3)
    given = [bench.give() for _ in range(3)]
    for number, finish in filter(None, given):
        assert bench.ended == 0
        finish(passed(number))
    bench.work.meanwhile()
    assert bench.ended == 1
    assert bench.give() is None
    bench.work.wake()
    assert (bench.ended, bench.answers.answers) == (1, [(1, b"1"), (2, b"2"), (3, b"3")])


async def test_where_every_line_is_sent_back_no_more_are_begun_than_may_wait() -> None:
    bench = Bench(10 * again.LINES)
    for _ in range(again.LINES):
        given = bench.give()
        assert given is not None
        given[1](Verdict(End.THROTTLED, delay=3600.0))
    assert bench.give() is None
    assert (len(bench.answers.expected), bench.answers.answers, bench.ended) == (again.LINES, [], 0)


async def test_a_line_that_was_given_back_goes_before_new_ones_with_the_same_id() -> None:
    bench = Bench(5)
    run = bench.work.checkout(bench)  # type: ignore[arg-type]
    assert run is not None
    bench.work.finished(run, Verdict(End.RELEASED))
    repeated = bench.work.checkout(bench)  # type: ignore[arg-type]
    assert repeated is not None
    assert (repeated.id, repeated.attempt) == (run.id, 2)
    assert run.id == f"{STEM}000000000001"


async def test_a_line_is_answered_with_its_last_failure_once_its_attempts_are_spent() -> None:
    bench = Bench(1)
    given = bench.give()
    assert given is not None
    given[1](FAILED)
    assert (bench.answers.answers, bench.ended) == ([(1, "no")], 1)


async def test_without_room_for_answers_no_line_is_begun() -> None:
    bench = Bench(3)
    bench.answers.room = False
    assert bench.give() is None
    bench.answers.room = True
    assert bench.give() is not None


async def test_after_the_stop_nothing_is_given_out() -> None:
    bench = Bench(3)
    bench.work.stopped = True
    bench.work.meanwhile()
    assert (bench.give(), bench.answers.expected) == (None, [])
