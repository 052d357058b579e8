"""The look-ahead of a queue that limits keys against the obvious model: a list of everything that is due."""

from unittest.mock import patch

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import Raw

from supervisor.config.model import NANOS, QueueConfig, Rate
from supervisor.core import lanes
from supervisor.core.gate import NEVER
from supervisor.core.job import Rank, Ready
from supervisor.core.keys import NO_KEYS, Keys, keys_of, lane_of
from supervisor.core.lane_rows import size_of
from supervisor.core.lanes import Lanes, Names, Read, Some, Walk
from supervisor.core.turns import OPEN

POLICY = QueueConfig(name="q", rate_per_key=Rate(count=2, period=NANOS), burst_per_key=2, concurrency_per_key=2)
LANES = [lane_of(rate, concurrency) for rate in (None, "a", "b") for concurrency in (None, "x", "y", "z")]
TINY = {"LEAST": 1, "AT_ONCE": 2, "NAMES": 2, "LOOKED_AT": 3}


def row(seq: int, lane: str, priority: int = 0, size: int = 1) -> Ready:
    return Ready(
        seq=seq,
        id=f"id-{seq}",
        queue="q",
        payload=Raw(b"1" * size),
        priority=priority,
        attempt=0,
        charged=0,
        crashes=0,
        interruptions=0,
        timeout=None,
        max_attempts=None,
        expires_at=None,
        due_at=0,
        lane=lane,
    )


class Store:
    """What a store answers, from a list."""

    def __init__(self) -> None:
        self.due: dict[int, Ready] = {}

    def rows(self, after: Rank | None, lane: str | None = None) -> list[Ready]:
        found = (one for one in self.due.values() if lane is None or one.lane == lane)
        return sorted((one for one in found if after is None or one.rank > after), key=lambda one: one.rank)

    def answer(self, ahead: Lanes, asked: Read, skip: set[str]) -> None:
        match asked:
            case Walk(after, limit):
                found = self.rows(after)
                ahead.walked(asked, found[:limit], complete=len(found) < limit, skip=skip)
            case Names(after, limit):
                names = sorted(
                    {one.lane or "" for one in self.due.values() if after is None or (one.lane or "") > after}
                )
                ahead.named(asked, [(name, self.rows(None, name)[0].rank) for name in names[:limit]])
            case Some(wanted, limit):
                each = [self.rows(after, name) for name, after in wanted]
                ahead.filled(asked, [(one[:limit], len(one) < limit) for one in each], skip=skip)


class Machine(RuleBasedStateMachine):
    """Reads are answered at once or later, in whatever state the cache then is."""

    most = 1000

    @initialize()
    def start(self) -> None:
        self.tiny = patch.multiple(lanes, **TINY)
        self.tiny.start()
        self.now = 5 * NANOS
        self.keys = Keys(POLICY, 0)
        self.ahead = Lanes(self.keys, max_rows=4, max_bytes=60, most=self.most, kept=2)
        self.store = Store()
        self.out: dict[str, Ready] = {}
        self.held: set[str] = set()
        self.next = 1
        self.asked: Read | None = None

    def teardown(self) -> None:
        if hasattr(self, "tiny"):
            self.tiny.stop()

    def skip(self) -> set[str]:
        return self.out.keys() | self.held

    def waiting(self) -> list[Ready]:
        return [one for one in self.store.rows(None) if one.id not in self.out and one.id not in self.held]

    def expected(self) -> Ready | None:
        """The first of those that may begin."""
        may = (one for one in self.waiting() if self.keys.opens_at(*keys_of(one.lane), self.now) == self.now)
        return next(may, None)

    @rule(lane=st.sampled_from(LANES), priority=st.integers(0, 2), size=st.sampled_from([1, 1, 1, 40]))
    def submit(self, lane: str, priority: int, size: int) -> None:
        new = row(self.next, lane, priority, size)
        self.next += 1
        self.store.due[new.seq] = new
        self.ahead.offer(new)

    @rule(lane=st.sampled_from(LANES), count=st.integers(3, 12))
    def submit_many(self, lane: str, count: int) -> None:
        for _ in range(count):
            self.submit(lane, 0, 1)

    @rule(lane=st.sampled_from(LANES), priority=st.integers(0, 2))
    def promote(self, lane: str, priority: int) -> None:
        """Where the cache cannot know."""
        new = row(self.next, lane, priority)
        self.next += 1
        self.store.due[new.seq] = new
        self.read_anew()

    @rule()
    def ask(self) -> None:
        if self.asked is None:
            self.asked = self.ahead.wants(self.now)

    @precondition(lambda self: self.asked is not None)
    @rule()
    def answer(self) -> None:
        asked, self.asked = self.asked, None
        assert asked is not None
        self.store.answer(self.ahead, asked, self.skip())

    @rule()
    def read_anew(self) -> None:
        """What was asked before is answered before."""
        if self.asked is not None:
            self.answer()
        self.asked = Walk(None, 4, anew=True)
        self.answer()

    def read_all(self) -> None:
        for _ in range(200):
            if self.asked is None:
                self.ask()
            if self.asked is None:
                return
            self.answer()
        raise AssertionError("it reads for ever")

    @rule()
    def check_out(self) -> None:
        expected = self.expected()
        taken = self.ahead.pop(self.now)
        if taken is None:
            if self.asked is None and self.ahead.wants(self.now) is None:
                self.check_nothing_may(expected, self.ahead.opens_at(self.now))
        else:
            self.begin(taken, expected)

    @rule()
    def check_out_what_there_is(self) -> None:
        """With all the reads that it takes."""
        while True:
            self.read_all()
            expected = self.expected()
            opens = self.ahead.opens_at(self.now)
            taken = self.ahead.pop(self.now)
            assert (opens == self.now) == (taken is not None)
            if taken is None:
                self.check_nothing_may(expected, opens)
                return
            self.begin(taken, expected)

    def check_nothing_may(self, expected: Ready | None, opens: int) -> None:
        assert expected is None
        later = (self.keys.opens_at(*keys_of(one.lane), self.now) for one in self.waiting())
        assert opens <= min(later, default=NEVER)

    def begin(self, taken: Ready, expected: Ready | None) -> None:
        assert taken == expected, "not the next job of those that may begin"
        self.enter(taken)

    def enter(self, taken: Ready) -> None:
        assert taken.id not in self.out
        self.ahead.wants(self.now)  # a look before the job has begun is none after it
        self.ahead.enter(taken.lane or NO_KEYS, self.now)
        self.out[taken.id] = taken

    @precondition(lambda self: self.out)
    @rule(data=st.data(), again=st.booleans())
    def finish_or_give_back(self, data: st.DataObject, again: bool) -> None:
        taken = self.out.pop(data.draw(st.sampled_from(sorted(self.out))))
        self.ahead.leave(taken.lane or NO_KEYS)
        if again:
            self.ahead.offer(taken)
        else:
            del self.store.due[taken.seq]

    @precondition(lambda self: self.waiting())
    @rule(data=st.data(), back=st.booleans())
    def cancel_or_let_go(self, data: st.DataObject, back: bool) -> None:
        one = data.draw(st.sampled_from(self.waiting()))
        self.held.add(one.id)
        self.ahead.discard({one.id})
        if data.draw(st.booleans()):
            self.check_out()
        self.held.discard(one.id)
        if back:
            self.read_anew()
        else:
            del self.store.due[one.seq]
            self.ahead.discard({one.id})

    @rule(pause=st.integers(0, NANOS))
    def time_passes(self, pause: int) -> None:
        self.now += pause

    @invariant()
    def memory_is_bounded_and_counted(self) -> None:
        if not hasattr(self, "ahead"):
            return
        ahead = self.ahead
        every = [ahead._front, *ahead._lanes.values()]
        held = [one for lane in every for one in lane.rows]
        assert {one.id for one in held} == ahead._home.keys()
        assert len(held) == len(ahead)
        assert ahead._bytes == sum(size_of(one) for one in held)
        assert ahead._turns.open_rows == sum(len(lane.rows) for lane in every if lane.where == OPEN)
        assert ahead._turns.open_rows <= 8 + len(ahead._lanes)
        assert all(len(lane.rows) <= 2 for lane in ahead._lanes.values() if lane.where != OPEN)


class Crowded(Machine):
    """More lanes than are known at a time: the order is that of those that are, and nothing is left lying."""

    most = 3

    def begin(self, taken: Ready, expected: Ready | None) -> None:
        assert self.keys.opens_at(*keys_of(taken.lane), self.now) == self.now
        assert taken in self.waiting()
        self.enter(taken)

    def check_nothing_may(self, expected: Ready | None, opens: int) -> None:
        assert expected is None or sum(lane.where != OPEN for lane in self.ahead._lanes.values()) >= self.most


TestLanes = Machine.TestCase
TestCrowded = Crowded.TestCase


def test_a_lane_is_found_behind_a_million_blocked_rows_with_four_reads() -> None:
    keys = Keys(QueueConfig(name="q", concurrency_per_key=1), 0)
    ahead = Lanes(keys)
    store = Store()
    busy, other = lane_of(None, "busy"), lane_of(None, "other")
    store.due = {seq: row(seq, busy) for seq in range(1, 10_000)} | {10_000: row(10_000, other)}
    keys.enter(busy, 0)
    reads = []
    while ahead.opens_at(0) != 0:
        asked = ahead.wants(0)
        assert asked is not None
        reads.append(type(asked))
        store.answer(ahead, asked, set())
    taken = ahead.pop(0)
    assert taken is not None
    assert taken.seq == 10_000
    assert reads == [Walk, Walk, Names, Some]


def test_many_blocked_lanes_cost_no_read_each_where_they_have_more_than_is_kept() -> None:
    ahead = Lanes(Keys(QueueConfig(name="q", rate_per_key=Rate(count=1, period=NANOS)), 0))
    store = Store()
    blocked = [lane_of(f"key-{number}", None) for number in range(200)]
    store.due = {seq: row(seq, blocked[seq % 200]) for seq in range(1, 4000)} | {4000: row(4000, NO_KEYS)}
    reads = []
    while ahead.opens_at(0) != 0:
        asked = ahead.wants(0)
        assert asked is not None
        reads.append(asked)
        store.answer(ahead, asked, set())
    taken = ahead.pop(0)
    assert taken is not None
    assert taken.seq == 4000
    assert len(reads) < 12


def test_the_place_of_a_job_that_is_deleted_goes_to_the_next_one_of_its_key() -> None:
    """Not to a later job of its lane, which was let in for it."""
    ahead = Lanes(Keys(QueueConfig(name="q", concurrency_per_key=1), 0))
    one, other = lane_of("one", "busy"), lane_of("other", "busy")
    store = Store()
    store.due = {seq: row(seq, lane) for seq, lane in enumerate([one, other, one], 1)}
    ahead.enter(one, 0)
    while (asked := ahead.wants(0)) is not None:
        store.answer(ahead, asked, set())
    assert ahead.pop(0) is None
    assert ahead.leave(one)
    ahead.discard({"id-1"})
    taken = ahead.pop(0)
    assert taken is not None
    assert taken.seq == 2


def test_lanes_of_one_job_each_are_read_like_a_queue_without_keys() -> None:
    ahead = Lanes(Keys(POLICY, -(10**12)), max_rows=100)
    store = Store()
    store.due = {seq: row(seq, lane_of(f"key-{seq}", None)) for seq in range(1, 1001)}
    begun, reads = [], []
    while True:
        while (asked := ahead.wants(0)) is not None:
            reads.append(type(asked))
            store.answer(ahead, asked, set())
        taken = ahead.pop(0)
        if taken is None:
            break
        begun.append(taken.seq)
        del store.due[taken.seq]
    assert begun == list(range(1, 1001))
    assert set(reads) == {Walk}
    assert len(reads) < 30
    assert len(ahead._lanes) == 0


@pytest.mark.parametrize("keys", [(None, None), ("a", None), (None, 'b"\\'), ("ä\0", "\U0001f600")])
def test_a_lane_says_its_keys(keys: tuple[str | None, str | None]) -> None:
    assert keys_of(lane_of(*keys)) == keys
    assert (lane_of(*keys) == NO_KEYS) == (keys == (None, None))
