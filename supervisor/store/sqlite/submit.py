"""Inserting jobs, and recognising those that are there already."""

from collections.abc import Container, Sequence
from typing import NamedTuple

import apsw
import msgspec
from msgspec.structs import replace

from supervisor.core.identity import Holder, Meeting, Scope, key_scope, meet, replaced, unique_scope
from supervisor.core.job import Cause, NewJob, State
from supervisor.store.port import Submitted
from supervisor.store.sqlite import journal
from supervisor.store.sqlite.bulk import Bulk, Value
from supervisor.store.sqlite.queues import Counter, Queues
from supervisor.store.sqlite.schema import CANCELLED, DUE, LATER, STATE_OF

_JOBS = Bulk(
    """INSERT INTO jobs (seq, id, created_at, payload, max_attempts, timeout, backoff, client, key, name, tags)
    SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL""",
    width=11,
)
_STATES = Bulk(
    """INSERT INTO states (seq, queue, urgency, state, run_at, wake_at, expires_at, uniq, lane)
    SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL""",
    width=9,
)
# Most jobs carry no option at all; half the values to bind is a fifth of the time saved.
_PLAIN_JOBS = Bulk(
    """INSERT INTO jobs (seq, id, created_at, payload)
    SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL""",
    width=4,
)
_PLAIN_STATES = Bulk(
    f"""INSERT INTO states (seq, queue, urgency, run_at, state)
    SELECT column1, column2, column3, column4, {DUE} FROM (VALUES {{rows}}) WHERE column1 IS NOT NULL""",
    width=4,
)
_TAGS = Bulk(
    "INSERT OR IGNORE INTO tags (tag, seq) SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL",
    width=2,
)
_REPLACE = Bulk(
    f"""UPDATE states SET state = {CANCELLED}, finished_at = ?, wake_at = NULL, error = v.column2
    FROM (VALUES {{rows}}) AS v WHERE seq = v.column1""",
    width=2,
)
_HELD_KEYS = Bulk(
    """SELECT json_group_array(json_array(
      v.column1, s.seq, j.id, s.state, s.queue IS v.column4 AND j.payload IS v.column5))
    FROM (VALUES {rows}) AS v
    CROSS JOIN jobs AS j ON j.client = v.column2 AND j.key = v.column3
    CROSS JOIN states AS s ON s.seq = j.seq""",
    width=5,
)
_HELD_UNIQUES = Bulk(
    """SELECT json_group_array(json_array(v.column1, s.seq, j.id, s.state, j.payload IS v.column4))
    FROM (VALUES {rows}) AS v
    CROSS JOIN states AS s ON s.queue = v.column2 AND s.uniq = v.column3 AND s.uniq IS NOT NULL AND s.state < 4
    CROSS JOIN jobs AS j ON j.seq = s.seq""",
    width=4,
)


class _Held(msgspec.Struct, array_like=True):
    index: int  # of the new job in its call
    seq: int
    id: str
    state: int
    same: int


_decode_held = msgspec.json.Decoder(list[_Held]).decode
_encode = msgspec.json.Encoder().encode


def submit(
    connection: apsw.Connection, queues: Queues, seqs: Counter, jobs: Sequence[NewJob], now: int
) -> list[Submitted]:
    """As port.Store.submit."""
    if not any(job.key is not None or job.unique is not None for job in jobs):
        first = seqs.take(len(jobs))
        _insert(connection, queues, first, jobs, now)
        return [
            Submitted(seq=seq, id=job.id, created=True, state=State.PENDING, due=job.run_at <= now or job.due(now))
            for seq, job in enumerate(jobs, first)
        ]
    plan = _Plan(_held_keys(connection, queues, jobs), _held_uniques(connection, queues, jobs), seqs.last + 1, now)
    answers = [plan.answer(index, job) for index, job in enumerate(jobs)]
    first = seqs.take(len(plan.fresh))
    # A `unique` has one live row at every moment: whoever goes, goes first, or comes as one that is gone already.
    _replace(connection, [one for one in plan.gone.values() if one.seq < first], now)
    _insert(connection, queues, first, plan.fresh, now, plan.gone)
    _replace(connection, [one for one in plan.gone.values() if one.seq >= first], now)
    if plan.gone:
        return [replace(one, state=State.CANCELLED, due=False) if one.id in plan.gone else one for one in answers]
    return answers


class _Gone(NamedTuple):
    seq: int
    by: str  # the id of the job that takes its place


class _Plan:
    """Job by job, what a call is to answer and to do: `fresh` are new rows, numbered from `next_seq` on, and `gone`, by
    their ids, those that were replaced."""

    def __init__(self, keys: dict[int, _Held], uniques: dict[int, _Held], next_seq: int, now: int) -> None:
        self.fresh: list[NewJob] = []
        self.gone: dict[str, _Gone] = {}
        self._keys = keys
        self._uniques = uniques
        self._next_seq = next_seq
        self._now = now
        self._taken: dict[Scope, Submitted] = {}  # in this call
        self._jobs: dict[str, NewJob] = {}  # by the ids of those answers

    def answer(self, index: int, job: NewJob) -> Submitted:
        found = self._found(index, job)
        if found is None:
            return self._create(job, None)
        answer, by_key = found
        meeting = meet(job, Holder(answer.id, answer.state, by_key=by_key))
        if meeting is Meeting.TAKES_OVER:
            self.gone[answer.id] = _Gone(answer.seq, job.id)
            return self._create(job, answer.id)
        return replace(answer, refused=True) if meeting is Meeting.REFUSED else answer

    def _found(self, index: int, job: NewJob) -> tuple[Submitted, bool] | None:
        """The answer of the job that is there already, and whether it is so by its key. What was taken in this call is
        newer than what the file knew: it may have replaced that."""
        by_key = _held(self._keys.get(index)) or self._earlier(key_scope(job), job)
        if by_key is not None:
            return by_key, True
        by_unique = self._earlier(unique_scope(job), job) or _held(self._uniques.get(index))
        return None if by_unique is None else (by_unique, False)

    def _earlier(self, scope: Scope | None, job: NewJob) -> Submitted | None:
        answer = None if scope is None else self._taken.get(scope)
        if answer is None:
            return None
        first = self._jobs[answer.id]
        same = first.queue == job.queue and first.payload == job.payload
        return Submitted(seq=answer.seq, id=answer.id, created=False, state=State.PENDING, due=False, same=same)

    def _create(self, job: NewJob, replaced: str | None) -> Submitted:
        answer = Submitted(
            seq=self._next_seq + len(self.fresh),
            id=job.id,
            created=True,
            state=State.PENDING,
            due=job.due(self._now),
            replaced=replaced,
        )
        self.fresh.append(job)
        self._jobs[job.id] = job
        self._taken.update({scope: answer for scope in (key_scope(job), unique_scope(job)) if scope is not None})
        return answer


def holders(connection: apsw.Connection, queues: Queues, jobs: Sequence[NewJob]) -> dict[str, Holder]:
    """As port.Store.holders."""
    by_unique = _held_uniques(connection, queues, jobs)
    found = {jobs[index].id: Holder(row.id, STATE_OF[row.state]) for index, row in by_unique.items()}
    by_key = _held_keys(connection, queues, jobs)
    return found | {jobs[index].id: Holder(row.id, STATE_OF[row.state], by_key=True) for index, row in by_key.items()}


def _held(row: _Held | None) -> Submitted | None:
    if row is None:
        return None
    return Submitted(seq=row.seq, id=row.id, created=False, state=STATE_OF[row.state], due=False, same=bool(row.same))


def _replace(connection: apsw.Connection, gone: list[_Gone], now: int) -> None:
    rows: list[Value] = []
    for one in gone:
        rows += (one.seq, _encode(replaced(one.by)).decode())
    _REPLACE.run(connection, rows, now)
    if gone:
        seqs = _encode([one.seq for one in gone]).decode()
        journal.happened(connection, CANCELLED, seqs, now, Cause.REPLACED)


def _held_keys(connection: apsw.Connection, queues: Queues, jobs: Sequence[NewJob]) -> dict[int, _Held]:
    flat: list[Value] = []
    for index, job in enumerate(jobs):
        if job.key is not None:
            flat += (index, job.client, job.key, queues.known(job.queue), job.payload)
    return _look_up(connection, _HELD_KEYS, flat)


def _held_uniques(connection: apsw.Connection, queues: Queues, jobs: Sequence[NewJob]) -> dict[int, _Held]:
    flat: list[Value] = []
    for index, job in enumerate(jobs):
        if job.unique is not None:
            flat += (index, queues.known(job.queue), job.unique, job.payload)
    return _look_up(connection, _HELD_UNIQUES, flat)


def _look_up(connection: apsw.Connection, query: Bulk, flat: list[Value]) -> dict[int, _Held]:
    return {row.index: row for text in query.select(connection, flat) for row in _decode_held(text)}


def _insert(
    connection: apsw.Connection,
    queues: Queues,
    first: int,
    jobs: Sequence[NewJob],
    now: int,
    gone: Container[str] = (),
) -> None:
    """`gone`: ids of jobs that have ended already."""
    if not jobs:
        return
    if all(_is_plain(job, now) for job in jobs):
        _insert_plain(connection, queues, first, jobs)
    else:
        _insert_optioned(connection, queues, first, jobs, now, gone)
    if queues.any_loud:
        connection.execute(journal.SUBMITTED_FROM, {"first": first, "now": now})


def _insert_optioned(
    connection: apsw.Connection, queues: Queues, first: int, jobs: Sequence[NewJob], now: int, gone: Container[str]
) -> None:
    rows: list[Value] = []
    states: list[Value] = []
    tags: list[Value] = []
    for seq, job in enumerate(jobs, first):
        backoff = _encode(job.backoff).decode() if job.backoff is not None else None
        text = _encode(job.tags).decode() if job.tags else None
        rows += (seq, job.id, job.created_at, job.payload, job.max_attempts, job.timeout, backoff)
        rows += (job.client, job.key, job.name, text)
        timing = (CANCELLED, job.run_at, None) if job.id in gone else _timing(job, now)
        states += (seq, queues.intern(job.queue), -job.priority, *timing, job.expires_at, job.unique, job.lane)
        for tag in job.tags:
            tags += (tag, seq)
    _JOBS.run(connection, rows)
    _STATES.run(connection, states)
    _TAGS.run(connection, tags)


def _is_plain(job: NewJob, now: int) -> bool:
    return (
        (job.run_at <= now or job.due(now))  # the call is dearer than all the rest
        and job.expires_at is None
        and job.client is None
        and job.unique is None
        and job.timeout is None
        and job.max_attempts is None
        and job.backoff is None
        and job.name is None
        and not job.tags
        and job.lane is None
    )


def _insert_plain(connection: apsw.Connection, queues: Queues, first: int, jobs: Sequence[NewJob]) -> None:
    rows: list[Value] = []
    states: list[Value] = []
    intern = queues.intern
    for seq, job in enumerate(jobs, first):
        rows += (seq, job.id, job.created_at, job.payload)
        states += (seq, intern(job.queue), -job.priority, job.run_at)
    _PLAIN_JOBS.run(connection, rows)
    _PLAIN_STATES.run(connection, states)


def _timing(job: NewJob, now: int) -> tuple[int, int, int | None]:
    """Code, run_at, wake_at."""
    if job.due(now):
        return DUE, job.run_at, job.expires_at
    return LATER, job.run_at, job.run_at if job.expires_at is None else min(job.run_at, job.expires_at)
