"""The look-ahead against the obvious model: a sorted list of everything that is due."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import Raw

from supervisor.core.job import Ready
from supervisor.core.lookahead import Lookahead


def row(seq: int, priority: int = 0, size: int = 1) -> Ready:
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
    )


def test_a_cache_that_has_read_nothing_takes_nothing_in():
    ahead = Lookahead()
    assert not ahead.takes(0, 1)
    assert not ahead.offer(row(1))
    assert ahead.wants_rows


def test_an_answer_to_a_question_that_is_no_longer_asked_is_dropped():
    ahead = Lookahead(max_rows=2)
    ahead.fill([row(1), row(2)], after=None, complete=False, skip=())
    asked_behind = ahead.horizon
    assert ahead.offer(row(3, priority=9))  # pushes row 2 out
    ahead.fill([row(4)], after=asked_behind, complete=True, skip=())
    assert [one.seq for one in ahead] == [3, 1]


def test_it_is_bounded_by_bytes_but_holds_at_least_one_row():
    ahead = Lookahead(max_bytes=100)
    ahead.fill([row(1, size=1000), row(2, size=1000)], after=None, complete=True, skip=())
    assert [one.seq for one in ahead] == [1]
    assert not ahead.complete


class Machine(RuleBasedStateMachine):
    """The store is a list here; reads are answered at once or later, in whatever state the cache then is."""

    @initialize()
    def start(self):
        self.ahead = Lookahead(max_rows=4, max_bytes=40)
        self.due: dict[int, Ready] = {}
        self.out: set[str] = set()
        self.next = 1
        self.asked = None

    def order(self) -> list[Ready]:
        waiting = [one for one in self.due.values() if one.id not in self.out]
        return sorted(waiting, key=lambda one: one.rank)

    @rule(priority=st.integers(0, 3), size=st.sampled_from([1, 1, 1, 30]))
    def submit(self, priority, size):
        new = row(self.next, priority, size)
        self.next += 1
        self.due[new.seq] = new
        if self.ahead.takes(-priority, new.seq):
            assert self.ahead.offer(new)

    @rule()
    def ask(self):
        if self.asked is None:
            self.asked = (self.ahead.horizon, self.ahead.max_rows - len(self.ahead))

    @rule()
    def answer(self):
        """The store answers as it is now: what is submitted later is delivered later, and then offered."""
        if self.asked is not None:
            after, limit = self.asked
            due = sorted(self.due.values(), key=lambda one: one.rank)
            behind = [one for one in due if after is None or one.rank > after]
            self.ahead.fill(behind[:limit], after=after, complete=len(behind) < limit, skip=self.out)
            self.asked = None

    @rule()
    def check_out(self):
        taken = self.ahead.pop()
        if taken is not None:
            assert taken == self.order()[0], "not the queue's next job"
            self.out.add(taken.id)

    @rule(data=st.data())
    def finish_or_give_back(self, data):
        if self.out:
            job_id = data.draw(st.sampled_from(sorted(self.out)))
            seq = int(job_id[3:])
            self.out.discard(job_id)
            if data.draw(st.booleans()):
                del self.due[seq]
            else:
                self.ahead.offer(self.due[seq])

    @rule(data=st.data())
    def cancel(self, data):
        waiting = self.order()
        if waiting:
            gone = data.draw(st.sampled_from(waiting))
            del self.due[gone.seq]
            self.ahead.discard({gone.id})

    @rule()
    def read_anew(self):
        front = sorted(self.due.values(), key=lambda one: one.rank)
        limit = self.ahead.max_rows
        self.ahead.replace(front[:limit], complete=len(front) < limit, skip=self.out)

    @invariant()
    def it_holds_the_front_of_the_queue_and_nothing_else(self):
        if not hasattr(self, "ahead"):
            return
        held = [one.seq for one in self.ahead]
        assert held == [one.seq for one in self.order()][: len(held)]
        if self.ahead.complete:
            assert len(held) == len(self.order())
        assert len(held) <= 4


TestLookahead = Machine.TestCase


@given(st.lists(st.integers(0, 3), max_size=30))
def test_whatever_the_priorities_jobs_come_out_in_claim_order(priorities):
    ahead = Lookahead()
    ahead.fill([], after=None, complete=True, skip=())
    rows = [row(seq, priority) for seq, priority in enumerate(priorities)]
    for one in rows:
        ahead.offer(one)
    out = []
    while (one := ahead.pop()) is not None:
        out.append(one)
    assert out == sorted(rows, key=lambda one: one.rank)
