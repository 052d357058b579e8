"""What people and the clock do to jobs: cancel, retry, delete, pause; promote, expire; recover."""

from collections.abc import Collection, Sequence

import apsw
import msgspec

from supervisor.store.port import KEPT_ATTEMPTS, NOT_AGAIN, Changed, Cut, Filter, Promoted, Recovered, interrupted
from supervisor.store.sqlite import filters, journal
from supervisor.store.sqlite.queues import Queues
from supervisor.store.sqlite.schema import CANCELLED, DONE, DUE, EXPIRED, FAILED, LATER, RUNNING, STATE_OF

_FIND = """SELECT json_group_array(json_array(s.seq, j.id, s.state, q.name, s.uniq, (
      SELECT h.id FROM states AS t JOIN jobs AS h ON h.seq = t.seq
      WHERE t.queue = s.queue AND t.uniq = s.uniq AND t.uniq IS NOT NULL AND t.state < 4 AND t.seq <> s.seq),
      {matches}))
    FROM json_each(:ids) AS v
    CROSS JOIN jobs AS j ON j.id = v.value
    CROSS JOIN states AS s ON s.seq = j.seq
    JOIN queues AS q ON q.id = s.queue"""
_FOUND = _FIND.format(matches="1")

_THESE = "seq IN (SELECT value FROM json_each(:seqs))"
_CANCEL = f"UPDATE states SET state = {CANCELLED}, finished_at = :now, wake_at = NULL WHERE {_THESE}"
_RETRY = f"""UPDATE states SET state = {DUE}, run_at = :now, wake_at = NULL, expires_at = NULL, finished_at = NULL,
    charged = 0, crashes = 0, interruptions = 0, error = NULL, result = NULL, progress = NULL,
    lane = ifnull(lane, (SELECT '' FROM queues WHERE id = states.queue AND keyed)) WHERE {_THESE}"""
_DELETE = (
    # json_each sees a NULL as no row, so a job without tags needs no test.
    f"DELETE FROM tags WHERE (tag, seq) IN (SELECT value, seq FROM jobs, json_each(jobs.tags) WHERE jobs.{_THESE})",
    f"DELETE FROM attempts WHERE {_THESE}",
    f"DELETE FROM states WHERE {_THESE}",
    f"DELETE FROM jobs WHERE {_THESE}",
)

_decode_seqs = msgspec.json.Decoder(list[int]).decode
_decode_numbers = msgspec.json.Decoder(dict[str, int]).decode
_decode_texts = msgspec.json.Decoder(tuple[str, ...]).decode
_encode = msgspec.json.Encoder().encode


class _Row(msgspec.Struct, array_like=True):
    seq: int
    id: str
    state: int
    queue: str
    unique: str | None
    holder: str | None  # the id of another live job with this `unique`
    wanted: int  # whether it matches the filter


_decode_rows = msgspec.json.Decoder(list[_Row]).decode


def _text(values: object) -> str:
    return _encode(values).decode()


def _find(connection: apsw.Connection, job_ids: Sequence[str], want: Filter | None) -> dict[str, _Row]:
    ids = {"ids": _text(list(job_ids))}
    if want is None:
        found = connection.execute(_FOUND, ids).get
    else:
        number = filters.queue_number(connection, want)
        sql = _FIND.format(matches=filters.matches(want))
        found = connection.execute(sql, {**filters.bindings(want, number), **ids}).get
    return {row.id: row for row in _decode_rows(found)}


def _answer(row: _Row, changed: bool, conflict: str | None = None) -> Changed:
    return Changed(before=STATE_OF[row.state], changed=changed, queue=row.queue, conflict=conflict)


def cancel(connection: apsw.Connection, job_ids: Sequence[str], now: int, want: Filter | None = None) -> list[Changed]:
    rows = _find(connection, job_ids, want)
    answers: list[Changed] = []
    chosen: list[int] = []
    for job_id in job_ids:
        row = rows.get(job_id)
        if row is None:
            answers.append(Changed(before=None, changed=False))
            continue
        live = row.state < RUNNING and bool(row.wanted)
        answers.append(_answer(row, live))
        if live:
            chosen.append(row.seq)
            row.state = CANCELLED
    if chosen:
        seqs = _text(chosen)
        connection.execute(_CANCEL, {"seqs": seqs, "now": now})
        journal.happened(connection, CANCELLED, seqs, now)
    return answers


def retry(connection: apsw.Connection, job_ids: Sequence[str], now: int, want: Filter | None = None) -> list[Changed]:
    rows = _find(connection, job_ids, want)
    taken: dict[tuple[str, str], str] = {}  # by a retry of this call
    answers: list[Changed] = []
    chosen: list[int] = []
    for job_id in job_ids:
        row = rows.get(job_id)
        if row is None:
            answers.append(Changed(before=None, changed=False))
            continue
        if row.state <= DONE or not row.wanted:
            answers.append(_answer(row, False))
            continue
        holder = row.holder or (taken.get((row.queue, row.unique)) if row.unique is not None else None)
        answers.append(_answer(row, holder is None, holder))
        if holder is None:
            chosen.append(row.seq)
            row.state = DUE
            if row.unique is not None:
                taken[row.queue, row.unique] = row.id
    if chosen:
        seqs = _text(chosen)
        connection.execute(_RETRY, {"seqs": seqs, "now": now})
        journal.happened(connection, journal.RETRIED, seqs, now)
    return answers


def delete(
    connection: apsw.Connection, job_ids: Sequence[str], now: int, last_seq: int, want: Filter | None = None
) -> list[Changed]:
    """`last_seq`: the highest ever given, kept in the file because the row that proves it may be among these."""
    rows = _find(connection, job_ids, want)
    answers: list[Changed] = []
    chosen: list[int] = []
    for job_id in job_ids:
        row = rows.get(job_id)
        if row is None:
            answers.append(Changed(before=None, changed=False))
            continue
        removed = row.state != RUNNING and bool(row.wanted)
        answers.append(_answer(row, removed))
        if removed:
            chosen.append(row.seq)
            del rows[job_id]
    if chosen:
        connection.execute("UPDATE meta SET last_seq = max(last_seq, ?)", (last_seq,))
        seqs = _text(chosen)
        journal.deleted(connection, seqs, now)
        for statement in _DELETE:
            connection.execute(statement, {"seqs": seqs})
    return answers


def pause(connection: apsw.Connection, queues: Queues, queue: str, paused: bool) -> None:
    if queues.known(queue) is not None or paused:
        connection.execute("UPDATE queues SET paused = ? WHERE id = ?", (paused, queues.intern(queue)))


_PENDING = f"""SELECT json_group_object(v.value, ifnull((
      SELECT sum(n) FROM counts WHERE queue = (SELECT id FROM queues WHERE name = v.value)
      AND state IN ({DUE}, {LATER})), 0))
    FROM json_each(?) AS v"""


def pending(connection: apsw.Connection, queues: Collection[str]) -> dict[str, int]:
    return _decode_numbers(connection.execute(_PENDING, (_text(list(queues)),)).get)


_NEXT_AT = """SELECT min(at) FROM (
    SELECT min(wake_at) AS at FROM states WHERE state = 2
    UNION ALL SELECT min(wake_at) FROM states WHERE state = 1 AND wake_at IS NOT NULL)"""

# Both limits apply before the split: a row that waits for its run_at may have expired meanwhile.
_RIPE = """WITH ripe AS MATERIALIZED (
      SELECT * FROM (SELECT seq, queue, expires_at FROM states
        WHERE state = 2 AND wake_at <= :now ORDER BY wake_at LIMIT :limit)
      UNION ALL
      SELECT * FROM (SELECT seq, queue, expires_at FROM states
        WHERE state = 1 AND wake_at IS NOT NULL AND wake_at <= :now ORDER BY wake_at LIMIT :limit))
    SELECT
      (SELECT json_group_array(seq) FROM ripe WHERE expires_at IS NULL OR expires_at > :now),
      (SELECT json_group_array(name) FROM queues WHERE id IN (
        SELECT queue FROM ripe WHERE expires_at IS NULL OR expires_at > :now)),
      (SELECT json_group_array(seq) FROM (SELECT seq FROM ripe WHERE expires_at <= :now LIMIT :limit)),
      (SELECT json_group_array(id) FROM (
        SELECT id FROM ripe CROSS JOIN jobs USING (seq) WHERE expires_at <= :now LIMIT :limit))"""
_PROMOTE = f"UPDATE states SET state = {DUE}, wake_at = expires_at WHERE {_THESE}"
_EXPIRE = f"UPDATE states SET state = {EXPIRED}, finished_at = :now, wake_at = NULL WHERE {_THESE}"


def next_at(connection: apsw.Connection) -> int | None:
    found: int | None = connection.execute(_NEXT_AT).get
    return found


def promote(connection: apsw.Connection, now: int, limit: int) -> Promoted:
    earliest = next_at(connection)
    if earliest is None or earliest > now:
        return Promoted(queues=(), expired=(), next_at=earliest)
    due, queues, gone, expired = connection.execute(_RIPE, {"now": now, "limit": limit}).get
    connection.execute(_PROMOTE, {"seqs": due})
    connection.execute(_EXPIRE, {"seqs": gone, "now": now})
    if expired != "[]":
        journal.happened(connection, EXPIRED, gone, now)
    return Promoted(queues=_decode_texts(queues), expired=_decode_texts(expired), next_at=next_at(connection))


_NOT_AGAIN = "queue IN (SELECT id FROM queues WHERE name IN (SELECT value FROM json_each(:queues)))"
_TOO_OFTEN = "interruptions + 1 >= :max"


def _give_up(which: str) -> tuple[str, ...]:
    """The statements that fail such running rows."""
    return (
        f"""INSERT OR REPLACE INTO attempts (seq, attempt, record)
        SELECT seq, attempt, json_object('attempt', attempt, 'started_at', started_at, 'finished_at', :now,
          'pid', NULL, 'error', json(:error))
        FROM states WHERE state = {RUNNING} AND {which}""",
        f"""DELETE FROM attempts WHERE seq IN (
          SELECT seq FROM states WHERE state = {RUNNING} AND attempt > {KEPT_ATTEMPTS} AND {which})
        AND attempt <= (SELECT attempt FROM attempts AS a WHERE a.seq = attempts.seq
          ORDER BY a.attempt DESC LIMIT 1 OFFSET {KEPT_ATTEMPTS})""",
        f"""UPDATE states SET state = {FAILED}, finished_at = :now, interruptions = interruptions + 1, error = :error
        WHERE state = {RUNNING} AND {which}""",
    )


_FAIL_AT_ONCE = _give_up(_NOT_AGAIN)
_GIVE_UP = _give_up(_TOO_OFTEN)
_REQUEUE = f"""UPDATE states SET state = {DUE}, run_at = :now, wake_at = expires_at, interruptions = interruptions + 1
    WHERE state = {RUNNING}"""


def recover(connection: apsw.Connection, now: int, max_interruptions: int, not_again: Collection[str]) -> Recovered:
    bindings = {"now": now, "max": max_interruptions, "queues": _text(list(not_again))}
    rows = connection.execute(journal.RUNNING_NOW, {key: bindings[key] for key in ("max", "queues")})
    jobs = tuple(Cut(job, queue, attempt, bool(failed)) for job, queue, attempt, failed in rows)
    epoch = connection.execute("UPDATE meta SET epoch = epoch + 1 RETURNING epoch").get
    connection.execute(journal.RECOVERED, {key: bindings[key] for key in ("now", "max", "queues")})
    failed = 0
    if not_again:
        failed += _fail(connection, _FAIL_AT_ONCE, {**bindings, "error": _text(NOT_AGAIN)})
    failed += _fail(connection, _GIVE_UP, {**bindings, "error": _text(interrupted(max_interruptions))})
    connection.execute(_REQUEUE, bindings)
    return Recovered(epoch=epoch, requeued=connection.changes(), failed=failed, jobs=jobs)


def _fail(connection: apsw.Connection, statements: tuple[str, ...], bindings: dict[str, object]) -> int:
    for statement in statements:
        connection.execute(statement, bindings)
    return connection.changes()
