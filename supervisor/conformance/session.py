"""What the trials share: how a worker is started and ended, what is known of it so far, and how it is given jobs."""

import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import cycle

import msgspec
import trio

from protocol.text import quote
from supervisor.config.model import PoolConfig
from supervisor.conformance import languages
from supervisor.conformance.adopted import Adopted
from supervisor.conformance.findings import Fault
from supervisor.conformance.payloads import Sample
from supervisor.conformance.settings import OWN_PAYLOADS, Settings
from supervisor.conformance.subject import Answer, Subject
from supervisor.conformance.surroundings import surroundings
from supervisor.pool.launch import launch

SETTLE = 0.02  # seconds in which a second line would follow the last reply
Look = Callable[[Subject, int], None]

QUOTED = 60  # characters of a payload in a message


class Session:
    """One run of the tester. `replies` counts them by status; `stderr` has the last lines of the last worker that did
    something wrong; `left_out` names the variables of our own environment that no worker gets."""

    def __init__(self, settings: Settings, adopted: Adopted) -> None:
        self.settings = settings
        self.adopted = adopted
        self.language = languages.detect(settings.command, settings.cwd, os.environ.get("PATH", os.defpath))
        self.replies = {"ok": 0, "error": 0, "throttled": 0}
        self.said_ready: float | None = None  # seconds, of the first worker that did
        self.buffered: bool | None = None  # whether its first reply sat in a buffer
        self.warm_secs: float | None = None  # of one job, in the middle
        self.stderr: str | None = None
        self.plain_fault: Fault | None = None  # what it does wrong where it is given nothing special
        self.lives = 0
        self._environ, self.left_out = surroundings(os.environ)
        self._stubborn = False
        self._pool = settings.pool()

    @asynccontextmanager
    async def worker(self, *, ready: bool = True) -> AsyncIterator[Subject]:
        """A fresh one; its whole tree is gone when this is left. `ready`: where the pool asks for it, only once it has
        said that it is. Raises SpawnFailed."""
        subject = self._launch(self._pool, 0)
        sound = False
        try:
            if ready and self._pool.ready:
                await subject.get_ready()
            yield subject
            sound = True
        except Fault:
            self.stderr = subject.wire.stderr()
            raise
        finally:
            if self.said_ready is None:
                self.said_ready = subject.said_ready
            await self._end(subject, polite=sound and not self._stubborn)
            self._stubborn = self._stubborn or subject.stubborn
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self.adopted.end)

    def _launch(self, pool: PoolConfig, slot: int) -> Subject:
        subject = Subject(launch(pool, slot, instance=self._instance(), environ=self._environ), self.settings)
        self.adopted.workers.add(subject.child.pid)
        return subject

    async def _end(self, subject: Subject, *, polite: bool) -> None:
        await subject.end(polite=polite)
        self.adopted.workers.discard(subject.child.pid)

    def _instance(self) -> str:
        """A name that no other live worker has in its mark."""
        self.lives += 1
        return f"check-{os.getpid()}-{self.lives}"

    @asynccontextmanager
    async def bare_pipe(self) -> AsyncIterator[Subject]:
        """What every conversation costs at least: `cat`, which gives back each line."""
        cat = msgspec.structs.replace(self._pool, command=("cat",), channel="stdio")
        subject = self._launch(cat, 1)
        try:
            yield subject
        finally:
            await self._end(subject, polite=True)

    # -- giving jobs -----------------------------------------------------------------------------------------------

    def known_payloads(self) -> tuple[bytes, ...]:
        """Those it understands, as far as anybody said."""
        return self.settings.payloads or OWN_PAYLOADS

    def payloads(self) -> Iterator[bytes]:
        """The same, again and again."""
        return cycle(self.known_payloads())

    def first_payload(self) -> bytes:
        return self.known_payloads()[0]

    def count(self, answer: Answer) -> Answer:
        self.replies[answer.status] += 1
        return answer

    async def run(
        self, jobs: Iterable[Sample], seconds: float, look: Look | None = None, *, lives: int | None = None
    ) -> "Run":
        """Give the jobs one after the other to a worker, for so long at most; where it asks to be replaced, to the
        next, of `lives` workers at most. `look` is called after each job. Raises Fault, which says what was given."""
        run = Run(look)
        until = time.monotonic() + seconds
        waiting = iter(jobs)
        while await self._one_life(run, waiting, until):
            if run.lives == lives:
                run.more = f", and then it had asked {lives} times to be replaced"
                break
        return run

    async def _one_life(self, run: "Run", jobs: Iterator[Sample], until: float) -> bool:
        """Whether the worker asked to be replaced before the jobs were done."""
        async with self.worker() as worker:
            run.lives += 1
            for sample in jobs:
                run.answers.append(await self.give(worker, sample))
                if run.look is not None:
                    run.look(worker, len(run.answers))
                if time.monotonic() >= until:
                    run.more = ", and then the time was up"
                    break
                if worker.retires:
                    return True
            await worker.listen(SETTLE)
        return False

    async def give(self, worker: Subject, sample: Sample) -> Answer:
        """Its answer; a Fault says what was given."""
        try:
            answer = await worker.ask(sample.payload, job_id=sample.job_id, more=sample.more, pieces=sample.pieces)
        except Fault as fault:
            fault.given = sample.label or f"the payload {quote(sample.payload, QUOTED)}"
            raise
        return self.count(answer)


class Run:
    """What came of a number of jobs: the answers in order, and how many workers it took."""

    def __init__(self, look: Look | None) -> None:
        self.look = look
        self.answers: list[Answer] = []
        self.lives = 0
        self.more = ""  # why it was not all, for the end of a sentence

    @property
    def secs(self) -> float:
        """Of the jobs alone."""
        return sum(answer.secs for answer in self.answers)

    def in_words(self) -> str:
        """How many jobs, and how they were answered."""
        count = len(self.answers)
        by_status = Counter(answer.status for answer in self.answers)
        jobs = f"{count:,} job{'s' * (count != 1)}"
        if set(by_status) == {"ok"}:
            return f"{jobs} ok{self.more}"
        return f"{jobs}: " + ", ".join(f"{by_status[status]:,} {status}" for status in sorted(by_status)) + self.more
