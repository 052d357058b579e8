"""Any sequence of verbs, commits, rollbacks and crashes, on every backend, against the model."""

import copy
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from supervisor.config.model import Backoff
from supervisor.core.identity import Holder
from supervisor.core.job import Cause, Claim, NewJob, OnConflict, Outcome, Progress, Rank, State
from supervisor.core.journal import JobEvent, Kind, Wanted
from supervisor.core.keys import keys_of, lane_of
from supervisor.core.retention import Keep
from supervisor.store.port import Changed, EventPage, Filter, Submitted
from tests.store.model import LIVE, Model, ModelJob, Told
from tests.store.support import MAX_INTERRUPTIONS, NOW, Backend, MemoryBackend, SqliteBackend, error, new_id

QUEUES = ("q", "r")
SECOND = 1_000_000

few = st.integers(0, 3)
picks = st.lists(st.integers(0, 40), max_size=4)
options = st.fixed_dictionaries(
    {"queue": st.sampled_from(QUEUES), "payload": st.sampled_from([b"1", b"[2]"])},
    optional={
        "stepped": st.sampled_from([-86400, 0]),
        "priority": st.integers(-1, 1),
        "delay": st.integers(-2, 5),
        "life": st.integers(0, 8),
        "key": st.sampled_from(["a", "b", "c"]),
        "unique": st.sampled_from(["u", "v"]),
        "on_conflict": st.sampled_from(OnConflict),
        "tags": st.sampled_from([("t",), ("t", "s")]),
        "backoff": st.sampled_from([Backoff(base=0.1, cap=1 / 3), Backoff(delays=(0.0, 1.5), jitter=0)]),
        "name": st.sampled_from(["m", "n"]),
        "keys": st.sampled_from([("a", None), ("a", "b"), (None, "b")]),
    },
)
wants = st.builds(
    Filter,
    queue=st.sampled_from([None, *QUEUES]),
    states=st.sampled_from([(), (State.PENDING,), (State.FAILED, State.CANCELLED)]),
    tag=st.sampled_from([None, None, "s"]),
    client=st.sampled_from([None, None, "c"]),
    name=st.sampled_from([None, None, "n"]),
    cause=st.sampled_from([None, None, Cause.ERROR, Cause.INTERRUPTED, Cause.REPLACED]),
)
endings = st.fixed_dictionaries(
    {"pick": st.integers(0, 40), "state": st.sampled_from([State.DONE, State.FAILED, State.CANCELLED, State.PENDING])},
    optional={"delay": st.integers(-1, 5), "failed": st.booleans(), "stale": st.booleans()},
)


class StoreMachine(RuleBasedStateMachine):
    backend: Backend

    def make_backend(self) -> Backend:
        raise NotImplementedError

    @initialize()
    def start(self) -> None:
        self.backend = self.make_backend()
        self.store = self.backend.open()
        self.reader = self.store.reader()
        self.committed = Model()
        self.model = self.committed
        self.ids: list[str] = []  # of every job ever submitted, also of those that were lost or deleted
        self.now = NOW
        self.open = False

    def teardown(self) -> None:
        if hasattr(self, "reader"):
            self.reader.close()
            self.store.rollback()
            self.backend.close()

    # -- transactions: a verb outside of one gets its own

    @precondition(lambda self: not self.open)
    @rule()
    def begin(self) -> None:
        self.store.begin()
        self.model = copy.deepcopy(self.committed)
        self.open = True

    @precondition(lambda self: self.open)
    @rule()
    def commit(self) -> None:
        self.store.commit()
        self.store.tidy()
        self.committed = self.model
        self.open = False

    @precondition(lambda self: self.open)
    @rule()
    def rollback(self) -> None:
        self.store.rollback()
        self.model = self.committed
        self.open = False

    @rule(clean=st.booleans(), not_again=st.sets(st.sampled_from(QUEUES)))
    def end_and_reopen(self, clean: bool, not_again: set[str]) -> None:
        """Whatever was open is lost."""
        self.reader.close()
        if clean:
            self.store.close()
        self.store = self.backend.open(not_again) if clean else self.backend.crash(not_again)
        self.reader = self.store.reader()
        self.model, self.open = self.committed, False
        self.model.recover(NOW, MAX_INTERRUPTIONS, not_again)

    def write(self, verb: str, *args: Any) -> Any:
        if self.open:
            return getattr(self.store, verb)(*args)
        self.store.begin()
        answer = getattr(self.store, verb)(*args)
        self.store.commit()
        return answer

    # -- verbs

    @rule(batch=st.lists(options, min_size=1, max_size=4))
    def submit(self, batch: list[dict[str, Any]]) -> None:
        jobs = [self.job(**one) for one in batch]
        assert self.store.holders(jobs) == {job.id: holder for job in jobs if (holder := self.holder(job)) is not None}
        answers = self.write("submit", jobs, self.now)
        for job, answer in zip(jobs, answers, strict=True):
            self.expect_answer(job, answer)
        for job, answer in zip(jobs, answers, strict=True):  # they tell how things stand after all of them
            stands = self.model.jobs[answer.id].state
            assert answer.state is stands
            due = job.run_at <= max(self.now, job.created_at)
            assert answer.due == (answer.created and stands is State.PENDING and due)

    def holder(self, new: NewJob) -> Holder | None:
        job = self.model.keyed(new) or self.model.holder(new.queue, new.unique)
        return None if job is None else Holder(job.new.id, job.state, by_key=self.model.keyed(new) is not None)

    def expect_answer(self, job: NewJob, answer: Submitted) -> None:
        """As if each job came alone."""
        held, old = self.holder(job), self.model.replaceable(job)
        if held is not None and old is None:
            earlier = self.model.jobs[held.id]
            same = (earlier.new.queue, earlier.new.payload) == (job.queue, job.payload)
            refused = not held.by_key and job.on_conflict is not OnConflict.EXISTING
            assert (answer.created, answer.id, answer.seq) == (False, earlier.new.id, earlier.seq)
            assert (answer.same, answer.refused, answer.replaced) == (same, refused, None)
            return
        assert (answer.created, answer.refused, answer.id) == (True, False, job.id)
        assert answer.replaced == (None if old is None else old.new.id)
        assert answer.seq not in self.model.seqs
        self.model.submit(job, answer.seq, self.now)
        self.ids.append(job.id)

    def job(
        self,
        *,
        delay: int = 0,
        life: int | None = None,
        key: str | None = None,
        stepped: int = 0,
        keys: tuple[str | None, str | None] | None = None,
        **values: Any,
    ) -> NewJob:
        """`stepped`: so many seconds the clock was set between its making and its submit. Of the two queues the first
        one limits keys, so each of its jobs has a lane."""
        if keys is not None or values["queue"] == QUEUES[0]:
            values["lane"] = lane_of(*(keys or (None, None)))
        made = self.now - stepped * SECOND
        return NewJob(
            id=new_id(),
            created_at=made,
            run_at=made + delay * SECOND,
            expires_at=None if life is None else made + life * SECOND,
            client=None if key is None else "c",
            key=key,
            **values,
        )

    def chosen(self, numbers: list[int], *states: State) -> list[ModelJob]:
        jobs = self.model.in_state(*states)
        return [jobs[n % len(jobs)] for n in dict.fromkeys(numbers) if jobs]

    @rule(numbers=picks, claim_all=st.booleans(), batch=st.lists(endings, max_size=4))
    def record(self, numbers: list[int], claim_all: bool, batch: list[dict[str, Any]]) -> None:
        """Claims of due and other jobs, then outcomes: of these claims, of earlier ones, stale ones, repeated ones."""
        targets = self.chosen(numbers, *([State.PENDING] if claim_all else State))
        claims = [Claim(seq=job.seq, attempt=job.attempt + 1, started_at=self.now) for job in targets]
        claimed = [self.expect_claim(job, claim.attempt) for job, claim in zip(targets, claims, strict=True)]
        outcomes, finished = [], []
        for one in batch:
            for job in self.chosen([one["pick"]], State.RUNNING, *([State.DONE] if one.get("stale") else [])):
                outcomes.append(self.outcome(job, one))
                finished.append(self.expect_outcome(job, outcomes[-1]))
        assert self.write("record", claims, outcomes) == (claimed, finished)

    @rule(numbers=picks, stale=st.booleans())
    def progress(self, numbers: list[int], stale: bool) -> None:
        targets = self.chosen(numbers, *(State if stale else [State.RUNNING]))
        reports = []
        for job in targets:
            brief = b'{"progress":%d}' % job.attempt
            attempt = max(0, job.attempt - stale)
            reports.append(
                Progress(seq=job.seq, attempt=attempt, at=self.now, whole=brief[:-1] + b',"data":[]}', brief=brief)
            )
            if job.state is State.RUNNING and job.attempt == attempt:
                job.progress = reports[-1].whole
                self.model.tell(job, Kind.PROGRESS, self.now, None, None, brief)
        self.write("progress", reports)

    def expect_claim(self, job: ModelJob, attempt: int) -> bool:
        passes = job.state is State.PENDING and job.attempt < attempt
        if passes:
            job.state, job.attempt = State.RUNNING, attempt
            self.model.tell(job, Kind.STARTED, self.now)
        return passes

    def outcome(self, job: ModelJob, one: dict[str, Any]) -> Outcome:
        waits = one["state"] is State.PENDING and "delay" in one
        return Outcome(
            seq=job.seq,
            attempt=job.attempt - one.get("stale", False),
            state=one["state"],
            started_at=self.now,
            finished_at=self.now,
            charged=job.charged + 1,
            crashes=0,
            interruptions=job.interruptions,
            run_at=self.now + one["delay"] * SECOND if waits else None,
            result=b'"done"' if one["state"] is State.DONE else None,
            error=error() if one.get("failed") else None,
        )

    def expect_outcome(self, job: ModelJob, outcome: Outcome) -> bool:
        passes = job.state is State.RUNNING and job.attempt == outcome.attempt
        if passes:
            self.model.finish(job, outcome)
        return passes

    def change(self, verb: str, numbers: list[int], *args: int) -> list[tuple[ModelJob, Changed]]:
        """The answers about jobs that are there; the others are checked here."""
        ids = [self.ids[n % len(self.ids)] for n in numbers if self.ids]
        before = {job_id: self.model.jobs.get(job_id) for job_id in ids}
        answers: list[Changed] = self.write(verb, ids, *args)
        for job_id, answer in zip(ids, answers, strict=True):
            if before[job_id] is None:
                assert answer == Changed(before=None, changed=False)
        pairs = zip(ids, answers, strict=True)
        return [(job, answer) for job_id, answer in pairs if (job := before[job_id]) is not None]

    @rule(numbers=picks)
    def cancel(self, numbers: list[int]) -> None:
        for job, answer in self.change("cancel", numbers, self.now):
            before = job.state
            changed = self.model.change("cancel", job, self.now)
            assert answer == Changed(before=before, changed=changed, queue=job.new.queue)

    @rule(numbers=picks)
    def retry(self, numbers: list[int]) -> None:
        for job, answer in self.change("retry", numbers, self.now):
            able = job.state not in (*LIVE, State.DONE)
            holder = self.model.holder(job.new.queue, job.new.unique) if able else None
            conflict = None if holder is None else holder.new.id
            before = job.state
            changed = self.model.change("retry", job, self.now)
            assert answer == Changed(before=before, changed=changed, queue=job.new.queue, conflict=conflict)

    @rule(numbers=picks)
    def delete(self, numbers: list[int]) -> None:
        for job, answer in self.change("delete", numbers, self.now):
            if job.new.id not in self.model.jobs:  # named twice in this call
                assert answer == Changed(before=None, changed=False)
                continue
            gone = self.model.change("delete", job, self.now)
            assert answer == Changed(before=job.state, changed=gone, queue=job.new.queue)

    @rule(want=wants, verb=st.sampled_from(["cancel", "retry", "delete"]), limit=st.integers(1, 3))
    def change_what_matches(self, want: Filter, verb: str, limit: int) -> None:
        """In steps, from what is committed; whatever has changed in the open transaction does not match any more."""
        before, done = None, 0
        while True:
            found = self.reader.find(want, limit=limit, before=before)
            for job_id, answer in zip(found.ids, self.write(verb, found.ids, self.now, want), strict=True):
                job = self.model.jobs.get(job_id)
                changed = job is not None and matches(job, want) and self.model.change(verb, job, self.now)
                assert answer.changed == changed
                done += changed
            if found.next_seq is None:
                break
            before = found.next_seq
        if not self.open:
            self.committed = self.model
            assert verb == "retry" or not any(
                matches(job, want) and able(verb, job) for job in self.model.jobs.values()
            )

    @rule(
        age=st.none() | st.integers(0, 4),
        most=st.none() | st.integers(0, 3),
        limit=st.integers(1, 4),
        spared=picks,
        states=st.sets(st.sampled_from([state for state in State if state.final])),
    )
    def sweep(self, age: int | None, most: int | None, limit: int, spared: list[int], states: set[State]) -> None:
        """As the daemon does: what has been kept long enough is deleted, in steps."""
        spare = {self.ids[n % len(self.ids)] for n in spared if self.ids}
        since = None if age is None else self.now - age * SECOND
        kept = [
            Keep(queue=queue, state=state, since=since, most=most, now=self.now) for queue in QUEUES for state in states
        ]
        expected = {job.new.id for one in kept for job in self.model.outlived(one)} - spare
        gone: set[str] = set()
        while True:
            ids = self.store.outlived(kept, spare=spare, limit=limit)
            assert len(ids) == len(set(ids)) <= limit
            assert all(answer.changed for answer in self.write("delete", ids, self.now))
            gone |= set(ids)
            if len(ids) < limit:
                break
        assert gone == expected
        for job_id in gone:
            self.model.change("delete", self.model.jobs[job_id], self.now)

    @rule(queue=st.sampled_from(QUEUES), paused=st.booleans())
    def pause(self, queue: str, paused: bool) -> None:
        self.write("pause", queue, paused)
        (self.model.paused.add if paused else self.model.paused.discard)(queue)

    @rule(queues=st.sets(st.sampled_from(QUEUES)))
    def silence(self, queues: set[str]) -> None:
        self.write("silence", queues)
        self.model.silent = queues

    @rule(age=st.integers(0, 20), most=st.integers(0, 60), limit=st.integers(1, 20))
    def trim_events(self, age: int, most: int, limit: int) -> None:
        self.store.rollback()
        self.model, self.open = self.committed, False
        kept = self.journal()
        before = self.now - age * SECOND
        self.store.begin()
        trimmed = self.store.trim_events(before=before, most=most, limit=limit)
        self.store.commit()
        gone, left = kept[:trimmed], kept[trimmed:]
        assert trimmed <= min(limit, max(0, len(kept) - 1))
        newest = self.model.events
        assert all(event.at < before or event.n <= newest - most for event in gone)
        assert trimmed == limit or len(left) < 2 or (left[0].at >= before and left[0].n > newest - most)
        self.model.trimmed += trimmed

    def journal(self) -> list[JobEvent]:
        """All that is in it, read in small pages."""
        events: list[JobEvent] = []
        page = EventPage(events=(), last=self.model.trimmed, more=True)
        while page.more:
            page = self.reader.events(page.last, limit=7)
            events += page.events
        return events

    @rule(step=st.integers(-3, 6) | st.sampled_from([-86400, 86400]), limit=st.integers(1, 5))
    def let_time_pass(self, step: int, limit: int) -> None:
        """Or go back."""
        self.now += step * SECOND
        while True:
            promoted = self.write("promote", self.now, limit)
            assert len(promoted.expired) <= limit
            for job_id in promoted.expired:
                job = self.model.jobs[job_id]
                assert job.state is State.PENDING
                assert job.expires_at is not None
                assert job.expires_at <= self.now
                job.state, job.finished_at = State.EXPIRED, self.now
                self.model.tell(job, Kind.EXPIRED, self.now)
            if promoted.next_at is None or promoted.next_at > self.now:
                break
        for job in self.model.in_state(State.PENDING):
            assert job.expires_at is None or job.expires_at > self.now
            job.due = job.due or job.run_at <= self.now

    # -- what must hold after every step

    @invariant()
    def every_job_is_as_it_should_be(self) -> None:
        expected = self.model.jobs
        for job_id, job in zip(self.ids, self.store.get(self.ids), strict=True):
            if job_id not in expected:
                assert job is None
                continue
            assert job is not None
            wanted = expected[job_id]
            assert (job.seq, job.state, job.attempt) == (wanted.seq, wanted.state, wanted.attempt)
            assert (job.charged, job.interruptions, job.run_at) == (wanted.charged, wanted.interruptions, wanted.run_at)
            assert (job.result, job.payload, job.queue) == (wanted.result, wanted.new.payload, wanted.new.queue)
            assert (job.expires_at, job.backoff) == (wanted.expires_at, wanted.new.backoff)
            assert (job.finished_at, job.progress) == (wanted.finished_at, wanted.progress)
            assert (job.rate_key, job.concurrency_key) == keys_of(wanted.new.lane)
            assert (None if job.error is None else job.error.cause) == wanted.cause
            assert [attempt.attempt for attempt in job.attempts] == wanted.failed

    @invariant()
    def what_is_ready_is_what_is_due(self) -> None:
        for queue in QUEUES:
            rows = self.store.ready(queue, after=None, limit=1000, max_bytes=1 << 20)
            assert [row.id for row in rows] == self.model.ready(queue)
            assert [row.backoff for row in rows] == [self.model.jobs[row.id].new.backoff for row in rows]
            assert [row.unique for row in rows] == [self.model.jobs[row.id].new.unique for row in rows]
            assert [row.rank for row in rows] == sorted(row.rank for row in rows)
            pending = sum(job.new.queue == queue for job in self.model.in_state(State.PENDING))
            assert self.store.pending([queue]) == {queue: pending}
        self.check_lanes(QUEUES[0])
        assert self.store.next_at() == self.model.next_at()
        assert set(self.store.paused()) == self.model.paused
        assert set(self.store.queues()) >= {job.new.queue for job in self.model.jobs.values()}

    def check_lanes(self, queue: str) -> None:
        expected: dict[str | None, list[str]] = {}
        for job_id in self.model.ready(queue):
            expected.setdefault(self.model.jobs[job_id].new.lane, []).append(job_id)
        found = self.store.lanes(queue, after=None, limit=100)
        assert [name for name, _ in found] == sorted(expected)
        behind = [(name, Rank(first.urgency, first.seq - 1)) for name, first in found]
        each = self.store.lane_rows(queue, behind, limit=100, max_bytes=1 << 20)
        assert {name: [row.id for row in rows] for (name, _), (rows, _) in zip(found, each, strict=True)} == expected
        assert all(row.lane == name for (name, _), (rows, _) in zip(found, each, strict=True) for row in rows)
        assert all(complete for _, complete in each)
        assert [rows[0].rank for rows, _ in each] == [first for _, first in found]

    @invariant()
    def a_reader_sees_what_is_committed(self) -> None:
        model = self.committed
        newest_first = sorted(model.jobs.values(), key=lambda job: -job.seq)
        for want in (Filter(), Filter(tag="t"), Filter(client="c"), Filter(states=(State.PENDING, State.FAILED))):
            page = self.reader.list(want, limit=1000, before=None, full=False)
            matching = [job for job in newest_first if matches(job, want)]
            assert [job.id for job in page.jobs] == [job.new.id for job in matching]
            assert page.total == len(matching)
        counts = {one.queue: one for one in self.reader.counts()}
        assert set(counts) == {job.new.queue for job in newest_first} | model.paused
        for queue, one in counts.items():
            for state in State:
                held = sum(job.new.queue == queue for job in model.in_state(state))
                assert getattr(one, state.value) == held
            assert one.due == len(model.ready(queue))

    @invariant()
    def the_journal_tells_what_happened_to_every_job_without_a_gap(self) -> None:
        model = self.committed
        events = self.journal()
        assert [event.n for event in events] == list(range(model.trimmed + 1, model.events + 1))
        told: dict[str | None, list[Told]] = {}
        for event in events:
            told.setdefault(event.job, []).append(as_told(event))
        unknown = told.pop(None, [])  # deleted while their queue was silent
        assert all(kind is not Kind.DELETED for kind, *_ in unknown)
        for job_id, one in told.items():
            assert job_id is not None
            assert model.told[job_id][-len(one) :] == one
        if not unknown and not model.trimmed:
            assert told == model.told

    @invariant()
    def the_journal_of_one_job_or_queue_is_that_part_of_it(self) -> None:
        every = self.reader.events(None, limit=10_000).events
        for queue in QUEUES:
            of_queue = self.reader.events(None, limit=10_000, want=Wanted(queue=queue)).events
            assert list(of_queue) == [event for event in every if event.queue == queue]
        for job_id in self.ids[-3:]:
            of_job = self.reader.events(None, limit=10_000, want=Wanted(job=job_id)).events
            assert list(of_job) == [event for event in every if event.job == job_id]


def as_told(event: JobEvent) -> Told:
    cause = None if event.cause is None else Cause(event.cause)
    return event.kind, event.at, event.attempt, event.run_at, cause, event.progress


def ended_with(cause: Cause) -> State:
    return State.CANCELLED if cause is Cause.REPLACED else State.FAILED


def able(verb: str, job: ModelJob) -> bool:
    return job.state is State.PENDING if verb == "cancel" else job.state is not State.RUNNING


def matches(job: ModelJob, want: Filter) -> bool:
    return (
        want.queue in (None, job.new.queue)
        and want.name in (None, job.new.name)
        and (want.cause is None or (job.state is ended_with(want.cause) and job.cause is want.cause))
        and _matches(job, want)
    )


def _matches(job: ModelJob, want: Filter) -> bool:
    return (
        (not want.states or job.state in want.states)
        and (want.tag is None or want.tag in job.new.tags)
        and (want.client is None or want.client == job.new.client)
    )


class MemoryMachine(StoreMachine):
    def make_backend(self) -> Backend:
        return MemoryBackend()


class SqliteMachine(StoreMachine):
    def make_backend(self) -> Backend:
        self.folder = tempfile.TemporaryDirectory()
        return SqliteBackend(Path(self.folder.name), log_bytes=64 * 1024, synchronous="OFF")

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "folder"):
            self.folder.cleanup()


NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
MACHINE = settings(max_examples=400 if NIGHTLY else 80, stateful_step_count=100 if NIGHTLY else 50)


@pytest.mark.parametrize("machine", [MemoryMachine, SqliteMachine])
def test_any_sequence_of_verbs_and_crashes_agrees_with_the_model(machine: type[StoreMachine]) -> None:
    run_state_machine_as_test(machine, settings=MACHINE)
