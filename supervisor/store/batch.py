"""What travels between the loop and the store's thread: calls, batches of them, and their answers."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import outcome
import trio

from supervisor.core.job import Claim, Job, NewJob, Outcome
from supervisor.store.port import Store, Submitted

T = TypeVar("T")


class Call(Generic[T]):
    """One verb on its way: `fn` runs on the store's thread, `done` on the loop once its effect is durable."""

    __slots__ = ("done", "error", "failed", "fn", "result", "task")

    def __init__(
        self,
        fn: Callable[[Store], T],
        done: Callable[[T], None] | None = None,
        failed: Callable[[], None] | None = None,
    ) -> None:
        self.fn = fn
        self.done = done
        self.failed = failed
        self.task: trio.lowlevel.Task | None = None
        self.result: T
        self.error: BaseException | None = None

    async def wait(self) -> T:
        """Cancelling the waiter does not take the call back: what was handed over is carried out."""
        self.task = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        result: T = await trio.lowlevel.wait_task_rescheduled(abort)
        return result

    def deliver(self) -> None:
        if self.error is not None:
            if self.failed is not None:
                self.failed()
        elif self.done is not None:
            self.done(self.result)
        if self.task is not None:
            task, self.task = self.task, None
            answer = outcome.Value(self.result) if self.error is None else outcome.Error(self.error)
            trio.lowlevel.reschedule(task, answer)


class Submit(Call[list[Submitted]]):
    """`contested`: one of its jobs does not let itself be answered by whoever has its `unique` value."""

    __slots__ = ("contested", "jobs", "now")

    def __init__(
        self,
        jobs: Sequence[NewJob],
        now: int,
        done: Callable[[list[Submitted]], None],
        failed: Callable[[], None] | None = None,
        *,
        contested: bool = False,
    ) -> None:
        super().__init__(lambda store: store.submit(jobs, now), done, failed)
        self.jobs = jobs
        self.now = now
        self.contested = contested


class ClaimFirst(Call[bool]):
    """A claim that must be on disk before its job starts; the answer is the fence's."""

    __slots__ = ("claim",)

    def __init__(self, claim: Claim, done: Callable[[bool], None], failed: Callable[[], None]) -> None:
        super().__init__(lambda store: store.record([claim], [])[0][0], done, failed)
        self.claim = claim


class Batch:
    __slots__ = ("claims", "firsts", "gets", "outcomes", "reads", "submits", "tokens", "writes")

    def __init__(self) -> None:
        self.submits: list[Submit] = []
        self.claims: list[Claim] = []
        self.firsts: list[ClaimFirst] = []
        self.outcomes: list[Outcome] = []
        self.tokens: list[Any] = []  # what `recorded` is told, one for each outcome
        self.gets: list[str] = []
        self.writes: list[Call[Any]] = []
        self.reads: list[Call[Any]] = []

    def add(self, other: "Batch") -> None:
        for name in self.__slots__:
            getattr(self, name).extend(getattr(other, name))

    def calls(self) -> "list[Call[Any]]":
        """Everything in it that somebody may wait for."""
        return [*self.submits, *self.firsts, *self.writes, *self.reads]


class Answers:
    """A batch's answers, on their way back to the loop."""

    __slots__ = ("firsts", "found", "gets", "oks", "reads", "submits", "tokens", "writes")

    def __init__(self) -> None:
        self.submits: list[Submit] = []
        self.firsts: list[ClaimFirst] = []
        self.tokens: list[Any] = []
        self.oks: list[bool] = []
        self.writes: list[Call[Any]] = []
        self.gets: list[str] = []
        self.found: list[Job | None] = []
        self.reads: list[Call[Any]] = []
