"""Rows as JSON documents, put together by SQLite and decoded by msgspec.

However many jobs a read returns, it is one row with one value: fetched row by row, each would cost the thread a fight
for the interpreter's lock. Payloads and results are spliced in as they are, never decoded; for the same reason the text
arrives as a blob, which becomes bytes and not a str.
"""

from collections.abc import Iterator, Sequence

import apsw
import msgspec
from msgspec import UNSET, Raw, UnsetType

from supervisor.config.model import Backoff
from supervisor.core.job import Attempt, Job, JobError, Rank, Ready, State
from supervisor.store.sqlite.schema import STATE_OF

# `timeout` is printed to 17 digits: what comes out is the float that went in.
_OPTIONAL_TIMEOUT = "iif(j.timeout IS NULL, 'null', format('%!.17g', j.timeout))"


def _ready_statements(place: str) -> tuple[str, str]:
    """For the due rows at a place in the claim order: the sizes of their payloads, and the rows as documents."""
    front = f"""FROM states AS s CROSS JOIN jobs AS j ON j.seq = s.seq
      WHERE s.state = 1 AND s.queue = :queue AND {place} ORDER BY s.urgency, s.seq LIMIT :limit"""
    sizes = f"SELECT json_group_array(size) FROM (SELECT octet_length(j.payload) AS size {front})"
    rows = f"""SELECT CAST('[' || ifnull(group_concat(document), '') || ']' AS BLOB) FROM (SELECT format(
      '{{"seq":%d,"id":"%s","queue":%s,"payload":%s,"priority":%d,"attempt":%d,"charged":%d,"crashes":%d,'
      || '"interruptions":%d,"timeout":%s,"max_attempts":%s,"expires_at":%s,"due_at":%d,'
      || '"backoff":%s,"unique":%s}}',
      s.seq, j.id, :name, j.payload, -s.urgency, s.attempt, s.charged, s.crashes,
      s.interruptions, {_OPTIONAL_TIMEOUT}, ifnull(j.max_attempts, 'null'), ifnull(s.expires_at, 'null'),
      max(s.run_at, j.created_at), ifnull(j.backoff, 'null'), iif(s.uniq IS NULL, 'null', json_quote(s.uniq))
      ) AS document
      {front})"""
    return sizes, rows


# Two places, not one comparison of (urgency, seq): by that the index is entered by the urgency alone, and a row deep in
# the queue is reached by passing all before it.
_SAME_URGENCY = _ready_statements("s.urgency = :urgency AND s.seq > :seq")
_LESS_URGENT = _ready_statements("s.urgency > :urgency")

_SUMMARY = f"""'{{"seq":' || s.seq || ',"id":"' || j.id || '","queue":' || json_quote(q.name)
    || ',"state":' || s.state
    || ',"error":' || ifnull(s.error, 'null')
    || ',"attempt":' || s.attempt
    || ',"max_attempts":' || ifnull(j.max_attempts, 'null')
    || ',"timeout":' || {_OPTIONAL_TIMEOUT}
    || ',"backoff":' || ifnull(j.backoff, 'null')
    || ',"urgency":' || s.urgency
    || ',"run_at":' || s.run_at
    || ',"created_at":' || j.created_at
    || ',"started_at":' || ifnull(s.started_at, 'null')
    || ',"finished_at":' || ifnull(s.finished_at, 'null')
    || ',"expires_at":' || ifnull(s.expires_at, 'null')
    || iif(s.progress IS NULL, '', ',"progress":' || s.progress)
    || ',"client":' || json_quote(j.client)
    || ',"key":' || json_quote(j.key)
    || ',"unique":' || json_quote(s.uniq)
    || ',"name":' || json_quote(j.name)
    || ',"tags":' || ifnull(j.tags, '[]')
    || ',"charged":' || s.charged
    || ',"crashes":' || s.crashes
    || ',"interruptions":' || s.interruptions"""
_WHOLE = (
    _SUMMARY
    + """
    || ',"payload":' || j.payload
    || iif(s.result IS NULL, '', ',"result":' || s.result)
    || ',"attempts":[' || ifnull((
      SELECT group_concat(record) FROM (SELECT record FROM attempts WHERE seq = s.seq ORDER BY attempt)), '') || ']'"""
)

_JOBS = """SELECT CAST('[' || ifnull(group_concat({document} || '}}'), '') || ']' AS BLOB)
    FROM json_each(?) AS v
    CROSS JOIN jobs AS j ON j.{column} = v.value
    CROSS JOIN states AS s ON s.seq = j.seq
    JOIN queues AS q ON q.id = s.queue"""
_WHOLE_BY_ID = _JOBS.format(document=_WHOLE, column="id")
_WHOLE_BY_SEQ = _JOBS.format(document=_WHOLE, column="seq")
_SUMMARY_BY_SEQ = _JOBS.format(document=_SUMMARY, column="seq")


class _Document(msgspec.Struct):
    seq: int
    id: str
    queue: str
    state: int
    error: JobError | None
    attempt: int
    max_attempts: int | None
    timeout: float | None
    backoff: Backoff | None
    urgency: int
    run_at: int
    created_at: int
    started_at: int | None
    finished_at: int | None
    expires_at: int | None
    client: str | None
    key: str | None
    unique: str | None
    name: str | None
    tags: tuple[str, ...]
    charged: int
    crashes: int
    interruptions: int
    payload: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    progress: Raw | UnsetType = UNSET
    attempts: tuple[Attempt, ...] = ()


_SIZES_BY_ID = """SELECT json_group_object(jobs.id, octet_length(payload) + ifnull(octet_length(result), 0))
    FROM jobs JOIN states USING (seq) WHERE jobs.id IN (SELECT value FROM json_each(?))"""

PORTION = 64 * 1024 * 1024  # bytes of payloads and results read at once

_STATES_BY_ID = """SELECT json_group_object(jobs.id, states.state)
    FROM jobs JOIN states USING (seq) WHERE jobs.id IN (SELECT value FROM json_each(?))"""

_decode_sizes = msgspec.json.Decoder(list[int]).decode
_decode_ready = msgspec.json.Decoder(list[Ready]).decode
_decode_states = msgspec.json.Decoder(dict[str, int]).decode
_decode_documents = msgspec.json.Decoder(list[_Document]).decode
_encode = msgspec.json.Encoder().encode


def ready(
    connection: apsw.Connection, queue: int, name: str, after: Rank | None, limit: int, max_bytes: int
) -> list[Ready]:
    """As port.Store.ready, of the queue with this number and name."""
    urgency, seq = (after.urgency, after.seq) if after is not None else (-(2**63), 0)
    places = (_LESS_URGENT,) if after is None else (_SAME_URGENCY, _LESS_URGENT)
    where = {"queue": queue, "urgency": urgency, "seq": seq, "limit": limit}
    name = _encode(name).decode()
    found: list[Ready] = []
    room = max_bytes
    for sizes_sql, rows_sql in places:
        where["limit"] = limit - len(found)
        sizes = _decode_sizes(connection.execute(sizes_sql, where).get)
        fitting, room = _fitting(sizes, room)
        if fitting:
            bindings = {**where, "limit": fitting, "name": name}
            found += _decode_ready(connection.execute(rows_sql, bindings).get)
        if room < 0 or len(found) >= limit:
            break
    return found


def _fitting(sizes: list[int], room: int) -> tuple[int, int]:
    """How many until they pass the room there is, and what is then left of it."""
    for n, size in enumerate(sizes):
        if room < 0:
            return n, room
        room -= size
    return len(sizes), room


def jobs_by_id(connection: apsw.Connection, job_ids: Sequence[str]) -> list[Job | None]:
    """Whole jobs, in the order asked for; None for an id that no job has."""
    found = {job.id: job for some in _in_portions(connection, job_ids) for job in _jobs(connection, _WHOLE_BY_ID, some)}
    return [found.get(job_id) for job_id in job_ids]


def _in_portions(connection: apsw.Connection, job_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """They come back as one text, and SQLite's texts end at a gigabyte."""
    if len(job_ids) < 2:
        yield job_ids
        return
    sizes = _decode_states(connection.execute(_SIZES_BY_ID, (_encode(job_ids).decode(),)).get)
    portion: list[str] = []
    room = PORTION
    for job_id, size in sizes.items():
        if portion and size > room:
            yield portion
            portion, room = [], PORTION
        portion.append(job_id)
        room -= size
    if portion:
        yield portion


def states_by_id(connection: apsw.Connection, job_ids: Sequence[str]) -> list[State | None]:
    """Their states alone, in the order asked for."""
    found = _decode_states(connection.execute(_STATES_BY_ID, (_encode(job_ids).decode(),)).get)
    return [STATE_OF[found[job_id]] if job_id in found else None for job_id in job_ids]


def jobs_by_seq(connection: apsw.Connection, seqs: Sequence[int], *, full: bool) -> list[Job]:
    """The jobs with these seqs, newest first. Without `full`: no payload, result or attempts."""
    jobs = _jobs(connection, _WHOLE_BY_SEQ if full else _SUMMARY_BY_SEQ, seqs)
    return sorted(jobs, key=lambda job: job.seq, reverse=True)


def _jobs(connection: apsw.Connection, query: str, which: Sequence[str] | Sequence[int]) -> list[Job]:
    text = connection.execute(query, (_encode(which).decode(),)).get
    return [_job(document) for document in _decode_documents(text)]


def _job(row: _Document) -> Job:
    return Job(
        seq=row.seq,
        id=row.id,
        queue=row.queue,
        state=STATE_OF[row.state],
        payload=_bytes(row.payload),
        result=_bytes(row.result),
        error=row.error,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        timeout=row.timeout,
        backoff=row.backoff,
        priority=-row.urgency,
        run_at=row.run_at,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        expires_at=row.expires_at,
        progress=_bytes(row.progress),
        client=row.client,
        key=row.key,
        unique=row.unique,
        name=row.name,
        tags=row.tags,
        charged=row.charged,
        crashes=row.crashes,
        interruptions=row.interruptions,
        attempts=row.attempts,
    )


def _bytes(raw: Raw | UnsetType) -> bytes | None:
    return None if raw is UNSET else bytes(raw)
