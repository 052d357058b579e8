"""Inserting jobs, and recognising those that are there already."""

from collections.abc import Sequence

import apsw
import msgspec

from supervisor.core.admission import Scope, scopes
from supervisor.core.job import NewJob, State
from supervisor.store.port import Submitted
from supervisor.store.sqlite.bulk import Bulk, Value
from supervisor.store.sqlite.journal import SUBMITTED_FROM
from supervisor.store.sqlite.queues import Counter, Queues
from supervisor.store.sqlite.schema import DUE, LATER, STATE_OF

_JOBS = Bulk(
    """INSERT INTO jobs (seq, id, created_at, payload, max_attempts, timeout, backoff, client, key, name, tags)
    SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL""",
    width=11,
)
_STATES = Bulk(
    """INSERT INTO states (seq, queue, urgency, state, run_at, wake_at, expires_at, uniq)
    SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL""",
    width=8,
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
            Submitted(seq=seq, id=job.id, created=True, state=State.PENDING, due=job.run_at <= now)
            for seq, job in enumerate(jobs, first)
        ]
    answers, fresh = _sort_out(connection, queues, seqs.last + 1, jobs, now)
    _insert(connection, queues, seqs.take(len(fresh)), fresh, now)
    return answers


def _sort_out(
    connection: apsw.Connection, queues: Queues, next_seq: int, jobs: Sequence[NewJob], now: int
) -> tuple[list[Submitted], list[NewJob]]:
    """The answer to each job, and those that are new, which take the numbers from `next_seq` on."""
    keys = _held_keys(connection, queues, jobs)
    uniques = _held_uniques(connection, queues, jobs)
    earlier: dict[Scope, tuple[Submitted, NewJob]] = {}  # in this call
    answers: list[Submitted] = []
    fresh: list[NewJob] = []
    for index, job in enumerate(jobs):
        own = scopes(job)
        # A `unique` held in the file cannot have been taken earlier in this call too, so these two may change places.
        answer = _held(keys.get(index)) or _earlier(earlier, own, job) or _held(uniques.get(index))
        if answer is None:
            answer = Submitted(
                seq=next_seq + len(fresh), id=job.id, created=True, state=State.PENDING, due=job.run_at <= now
            )
            fresh.append(job)
            earlier.update(dict.fromkeys(own, (answer, job)))
        answers.append(answer)
    return answers, fresh


def answered(connection: apsw.Connection, queues: Queues, jobs: Sequence[NewJob]) -> set[str]:
    """As port.Store.answered."""
    held = {**_held_keys(connection, queues, jobs), **_held_uniques(connection, queues, jobs)}
    return {jobs[index].id for index in held}


def _held(row: _Held | None) -> Submitted | None:
    if row is None:
        return None
    return Submitted(seq=row.seq, id=row.id, created=False, state=STATE_OF[row.state], due=False, same=bool(row.same))


def _earlier(seen: dict[Scope, tuple[Submitted, NewJob]], own: list[Scope], job: NewJob) -> Submitted | None:
    found = next((seen[scope] for scope in own if scope in seen), None)
    if found is None:
        return None
    answer, first = found
    same = first.queue == job.queue and first.payload == job.payload
    return Submitted(seq=answer.seq, id=answer.id, created=False, state=State.PENDING, due=False, same=same)


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


def _insert(connection: apsw.Connection, queues: Queues, first: int, jobs: Sequence[NewJob], now: int) -> None:
    if not jobs:
        return
    if all(_is_plain(job, now) for job in jobs):
        _insert_plain(connection, queues, first, jobs)
    else:
        _insert_optioned(connection, queues, first, jobs, now)
    if queues.any_loud:
        connection.execute(SUBMITTED_FROM, {"first": first, "now": now})


def _insert_optioned(connection: apsw.Connection, queues: Queues, first: int, jobs: Sequence[NewJob], now: int) -> None:
    rows: list[Value] = []
    states: list[Value] = []
    tags: list[Value] = []
    for seq, job in enumerate(jobs, first):
        backoff = _encode(job.backoff).decode() if job.backoff is not None else None
        text = _encode(job.tags).decode() if job.tags else None
        rows += (seq, job.id, job.created_at, job.payload, job.max_attempts, job.timeout, backoff)
        rows += (job.client, job.key, job.name, text)
        states += (seq, queues.intern(job.queue), -job.priority, *_timing(job, now), job.expires_at, job.unique)
        for tag in job.tags:
            tags += (tag, seq)
    _JOBS.run(connection, rows)
    _STATES.run(connection, states)
    _TAGS.run(connection, tags)


def _is_plain(job: NewJob, now: int) -> bool:
    return (
        job.run_at <= now
        and job.expires_at is None
        and job.client is None
        and job.unique is None
        and job.timeout is None
        and job.max_attempts is None
        and job.backoff is None
        and job.name is None
        and not job.tags
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
    if job.run_at <= now:
        return DUE, job.run_at, job.expires_at
    return LATER, job.run_at, job.run_at if job.expires_at is None else min(job.run_at, job.expires_at)
