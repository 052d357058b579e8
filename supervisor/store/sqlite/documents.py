"""Rows as JSON documents, put together by SQLite and decoded by msgspec.

However many jobs a read returns, it is one row with one text: fetched row by row, each would cost the thread a fight
for the interpreter's lock. Payloads and results are spliced in as they are, never decoded.
"""

from collections.abc import Sequence

import apsw
import msgspec
from msgspec import UNSET, Raw, UnsetType

from supervisor.core.job import Attempt, Job, JobError, Rank, Ready
from supervisor.store.sqlite.schema import STATE_OF

# `timeout` is printed to 17 digits: what comes out is the float that went in.
_OPTIONAL_TIMEOUT = "iif(j.timeout IS NULL, 'null', format('%!.17g', j.timeout))"

_READY = f"""SELECT '[' || ifnull(group_concat(format(
      '{{"seq":%d,"id":"%s","queue":%s,"payload":%s,"priority":%d,"attempt":%d,"charged":%d,"crashes":%d,'
      || '"interruptions":%d,"timeout":%s,"max_attempts":%s,"expires_at":%s}}',
      s.seq, j.id, :name, j.payload, -s.urgency, s.attempt, s.charged, s.crashes,
      s.interruptions, {_OPTIONAL_TIMEOUT}, ifnull(j.max_attempts, 'null'), ifnull(s.expires_at, 'null'))), '') || ']'
    FROM (
      SELECT d.seq, sum(octet_length(p.payload)) OVER (
        ORDER BY d.urgency, d.seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
      FROM (
        SELECT seq, urgency FROM states
        WHERE state = 1 AND queue = :queue AND (urgency, seq) > (:urgency, :seq)
        ORDER BY urgency, seq LIMIT :limit) AS d
      CROSS JOIN jobs AS p ON p.seq = d.seq
      ORDER BY d.urgency, d.seq LIMIT :limit) AS c
    CROSS JOIN states AS s ON s.seq = c.seq
    CROSS JOIN jobs AS j ON j.seq = c.seq
    WHERE c.before IS NULL OR c.before <= :max_bytes"""

_SUMMARY = f"""'{{"seq":' || s.seq || ',"id":"' || j.id || '","queue":' || json_quote(q.name)
    || ',"state":' || s.state
    || ',"error":' || ifnull(s.error, 'null')
    || ',"attempt":' || s.attempt
    || ',"max_attempts":' || ifnull(j.max_attempts, 'null')
    || ',"timeout":' || {_OPTIONAL_TIMEOUT}
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

_JOBS = """SELECT '[' || ifnull(group_concat({document} || '}}'), '') || ']'
    FROM (SELECT value AS seq FROM json_each(?) ORDER BY key LIMIT -1) AS v
    CROSS JOIN jobs AS j ON j.seq = v.seq
    CROSS JOIN states AS s ON s.seq = v.seq
    JOIN queues AS q ON q.id = s.queue"""
_JOBS_WHOLE = _JOBS.format(document=_WHOLE)
_JOBS_SUMMARY = _JOBS.format(document=_SUMMARY)
_SEQS = """SELECT json_group_array(j.seq) FROM json_each(?) AS v CROSS JOIN jobs AS j ON j.id = v.value"""


class _Document(msgspec.Struct):
    seq: int
    id: str
    queue: str
    state: int
    error: JobError | None
    attempt: int
    max_attempts: int | None
    timeout: float | None
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


_decode_ready = msgspec.json.Decoder(list[Ready]).decode
_decode_documents = msgspec.json.Decoder(list[_Document]).decode
_encode = msgspec.json.Encoder().encode


def ready(
    connection: apsw.Connection, queue: int, name: str, after: Rank | None, limit: int, max_bytes: int
) -> list[Ready]:
    """As port.Store.ready, of the queue with this number and name."""
    urgency, seq = (after.urgency, after.seq) if after is not None else (-(2**63), 0)
    bindings = {
        "queue": queue,
        "name": _encode(name).decode(),
        "urgency": urgency,
        "seq": seq,
        "limit": limit,
        "max_bytes": max_bytes,
    }
    return _decode_ready(connection.execute(_READY, bindings).get)


def jobs_by_id(connection: apsw.Connection, job_ids: Sequence[str]) -> list[Job | None]:
    """Whole jobs, in the order asked for; None for an id that no job has."""
    seqs = connection.execute(_SEQS, (_encode(list(job_ids)).decode(),)).get
    found = {job.id: job for job in jobs_by_seq(connection, seqs, full=True)}
    return [found.get(job_id) for job_id in job_ids]


def jobs_by_seq(connection: apsw.Connection, seqs: str, *, full: bool) -> list[Job]:
    """The jobs of a JSON array of seqs, in its order. Without `full`: no payload, result or attempts."""
    text = connection.execute(_JOBS_WHOLE if full else _JOBS_SUMMARY, (seqs,)).get
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
