"""A queue's rate and concurrency hold together, whatever the order of events."""

from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from supervisor.config.model import NANOS, QueueConfig, Rate
from supervisor.core.gate import NEVER, Gate

RATE, BURST = Rate(count=10, period=NANOS), 3


class Queue(RuleBasedStateMachine):
    """Against a plain list of what began when, and a count of what runs."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 7 * NANOS
        self.gate = Gate(QueueConfig(name="q", rate=RATE, burst=BURST, concurrency=4), self.now)
        self.begun: list[int] = []
        self.running = 0

    @rule(pause=st.integers(0, 2 * NANOS))
    def time_passes(self, pause: int) -> None:
        self.now += pause

    @rule()
    def one_begins_if_it_may(self) -> None:
        if self.gate.opens_at(self.now) == self.now:
            self.gate.enter(self.now)
            self.begun.append(self.now)
            self.running += 1

    @rule()
    def one_begins_as_soon_as_it_may(self) -> None:
        opens = self.gate.opens_at(self.now)
        assert (opens == NEVER) == (self.running == 4)
        if opens < NEVER:
            self.now = opens
            self.one_begins_if_it_may()
            assert self.begun[-1] == opens

    @precondition(lambda self: self.running)
    @rule()
    def one_ends(self) -> None:
        self.gate.leave()
        self.running -= 1

    @invariant()
    def no_more_run_than_may(self) -> None:
        assert self.running <= 4

    @invariant()
    def no_window_has_more_than_its_rate(self) -> None:
        for first, since in enumerate(self.begun):  # the windows that end now; the others were looked at when they did
            allowed = Fraction(RATE.count * (self.begun[-1] - since), RATE.period) + BURST
            assert len(self.begun) - first <= allowed


TestQueue = Queue.TestCase


def test_a_queue_without_limits_is_open_to_everybody() -> None:
    gate = Gate(QueueConfig(name="q"), 0)
    for _ in range(100):
        gate.enter(0)
    assert (gate.limited, gate.opens_at(5)) == (False, 5)


def test_of_a_concurrency_limit_alone_places_are_free_at_once() -> None:
    gate = Gate(QueueConfig(name="q", concurrency=1), 0)
    assert gate.opens_at(3) == 3
    gate.enter(3)
    assert gate.opens_at(3) == NEVER
    gate.leave()
    assert gate.opens_at(3) == 3
