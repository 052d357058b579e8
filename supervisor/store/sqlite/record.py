"""Claims and outcomes, fenced, a batch at a time."""

from collections.abc import Iterable, Sequence

import apsw
import msgspec

from supervisor.core.job import Attempt, Claim, Outcome, Progress, State
from supervisor.store.port import KEPT_ATTEMPTS
from supervisor.store.sqlite.bulk import Bulk, Value
from supervisor.store.sqlite.journal import PROGRESSED, RECORDED
from supervisor.store.sqlite.queues import Counter, Queues
from supervisor.store.sqlite.schema import CODES_OF, DUE, LATER, RUNNING

_CLAIM = Bulk(
    f"""UPDATE states SET stamp = ?, state = {RUNNING}, attempt = v.column2, started_at = v.column3, wake_at = NULL
    FROM (VALUES {{rows}}) AS v
    WHERE seq = v.column1 AND state < {RUNNING} AND attempt < v.column2""",
    width=3,
)
_SET = f"""UPDATE states SET
      stamp = ?, state = v.column3, attempt = v.column2, started_at = v.column4, finished_at = v.column5,
      run_at = ifnull(v.column6, run_at),
      wake_at = CASE v.column3
        WHEN {DUE} THEN expires_at
        WHEN {LATER} THEN min(v.column6, ifnull(expires_at, v.column6))
      END,
      charged = v.column7, crashes = v.column8, interruptions = v.column9,
      progress = v.column10, error = v.column11, result = v.column12
    FROM (VALUES {{rows}}) AS v
    WHERE seq = v.column1 AND """
# Recover leaves no row running, so a running row is of this epoch, and the attempt alone is the fence.
_FINISH = Bulk(_SET + f"state = {RUNNING} AND attempt = v.column2", width=12)
_CLAIM_AND_FINISH = Bulk(_SET + f"state < {RUNNING} AND attempt < v.column2", width=12)
_PROGRESS = Bulk(
    f"""UPDATE states SET progress = v.column3 FROM (VALUES {{rows}}) AS v
    WHERE seq = v.column1 AND state = {RUNNING} AND attempt = v.column2""",
    width=3,
)

_STAMPED = """SELECT json_group_array(seq) FROM states
    WHERE seq IN (SELECT value FROM json_each(?)) AND stamp = ?"""

_KEEP = Bulk(
    """INSERT OR REPLACE INTO attempts (seq, attempt, record)
    SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL""",
    width=3,
)
_TRIM = f"""DELETE FROM attempts WHERE seq IN (SELECT value FROM json_each(?)) AND attempt <= (
    SELECT attempt FROM attempts AS a WHERE a.seq = attempts.seq
    ORDER BY a.attempt DESC LIMIT 1 OFFSET {KEPT_ATTEMPTS})"""

_CODE = {state: codes[0] for state, codes in CODES_OF.items()}
_encode = msgspec.json.Encoder().encode
_decode_seqs = msgspec.json.Decoder(list[int]).decode


class Recorder:
    """As port.Store.record. `stamps` numbers the statements, so that a batch of which the fence stopped a part can
    tell which: each row says which statement wrote it last."""

    def __init__(self, connection: apsw.Connection, stamps: Counter, queues: Queues) -> None:
        self._connection = connection
        self._stamps = stamps
        self._queues = queues

    def record(self, claims: Sequence[Claim], outcomes: Sequence[Outcome]) -> tuple[list[bool], list[bool]]:
        claim_of = {claim.seq: claim.attempt for claim in claims}
        if len(claim_of) < len(claims) or len({outcome.seq for outcome in outcomes}) < len(outcomes):
            return self._one_by_one(claims, outcomes)
        both = [outcome for outcome in outcomes if claim_of.get(outcome.seq) == outcome.attempt]
        claimed, finished = self._split(claims, outcomes, both)
        passed = self._claim(claimed)
        served = self._finish(_CLAIM_AND_FINISH, both)
        ended = self._finish(_FINISH, finished)
        self._keep_attempts(outcomes, served | ended)
        self._tell(passed | served, served | ended, outcomes)
        if len(passed) + len(served) == len(claims) and len(served) + len(ended) == len(outcomes):
            return [True] * len(claims), [True] * len(outcomes)
        passed |= served
        ended |= served
        return [claim.seq in passed for claim in claims], [outcome.seq in ended for outcome in outcomes]

    def progress(self, reports: Sequence[Progress]) -> None:
        """As port.Store.progress."""
        whole: list[Value] = []
        brief: list[Value] = []
        for report in reports:
            whole += (report.seq, report.attempt, report.whole)
            brief += (report.seq, report.attempt, report.at, report.brief.decode())
        _PROGRESS.run(self._connection, whole)
        if self._queues.any_loud:
            PROGRESSED.run(self._connection, brief)

    def _split(
        self, claims: Sequence[Claim], outcomes: Sequence[Outcome], both: list[Outcome]
    ) -> tuple[Sequence[Claim], Sequence[Outcome]]:
        """The claims and the outcomes that stand alone."""
        if not both:
            return claims, outcomes
        if len(both) == len(claims) == len(outcomes):
            return (), ()
        seqs = {outcome.seq for outcome in both}
        return [c for c in claims if c.seq not in seqs], [o for o in outcomes if o.seq not in seqs]

    def _one_by_one(self, claims: Sequence[Claim], outcomes: Sequence[Outcome]) -> tuple[list[bool], list[bool]]:
        """A batch that speaks twice of one row: UPDATE ... FROM would pick either."""
        claimed: list[bool] = []
        ended: list[bool] = []
        for claim in claims:
            passed = self._claim([claim])
            self._tell(passed, set(), ())
            claimed.append(bool(passed))
        for outcome in outcomes:
            passed = self._finish(_FINISH, [outcome])
            self._keep_attempts([outcome], passed)
            self._tell(set(), passed, [outcome])
            ended.append(bool(passed))
        return claimed, ended

    def _tell(self, started: set[int], ended: set[int], outcomes: Sequence[Outcome]) -> None:
        """Let the journal know. All of a batch in one statement: a job that is in both began before it ended."""
        if (started or ended) and self._queues.any_loud:
            now = max((outcome.finished_at for outcome in outcomes), default=0)
            bindings = (_encode(sorted(started)).decode(), now, _encode(sorted(ended)).decode())
            self._connection.execute(RECORDED, bindings)

    def _claim(self, claims: Sequence[Claim]) -> set[int]:
        flat: list[Value] = []
        for claim in claims:
            flat += (claim.seq, claim.attempt, claim.started_at)
        return self._run(_CLAIM, flat, (claim.seq for claim in claims), len(claims))

    def _finish(self, update: Bulk, outcomes: Sequence[Outcome]) -> set[int]:
        flat: list[Value] = []
        for outcome in outcomes:
            code, run_at, finished_at = _whither(outcome)
            flat += (outcome.seq, outcome.attempt, code, outcome.started_at, finished_at, run_at)
            flat += (outcome.charged, outcome.crashes, outcome.interruptions, outcome.progress)
            flat += (None if outcome.error is None else _encode(outcome.error).decode(), outcome.result)
        return self._run(update, flat, (outcome.seq for outcome in outcomes), len(outcomes))

    def _run(self, update: Bulk, flat: list[Value], seqs: Iterable[int], expected: int) -> set[int]:
        """Returns the seqs that the fence let through."""
        if not expected:
            return set()
        stamp = self._stamps.take()
        changed = update.run(self._connection, flat, stamp)
        if changed == expected:
            return set(seqs)
        if not changed:
            return set()
        return set(_decode_seqs(self._connection.execute(_STAMPED, (_encode(list(seqs)).decode(), stamp)).get))

    def _keep_attempts(self, outcomes: Sequence[Outcome], passed: set[int]) -> None:
        failed = [outcome for outcome in outcomes if outcome.error is not None and outcome.seq in passed]
        if not failed:
            return
        flat: list[Value] = []
        for outcome in failed:
            flat += (outcome.seq, outcome.attempt, attempt_record(outcome))
        _KEEP.run(self._connection, flat)
        trim = [outcome.seq for outcome in failed if outcome.attempt > KEPT_ATTEMPTS]
        if trim:
            self._connection.execute(_TRIM, (_encode(trim).decode(),))


def attempt_record(outcome: Outcome) -> str:
    assert outcome.error is not None
    attempt = Attempt(
        attempt=outcome.attempt,
        started_at=outcome.started_at,
        finished_at=outcome.finished_at,
        pid=outcome.pid,
        error=outcome.error,
    )
    return _encode(attempt).decode()


def _whither(outcome: Outcome) -> tuple[int, int | None, int | None]:
    """Code, run_at (None: as it was) and finished_at."""
    if outcome.state is not State.PENDING:
        return _CODE[outcome.state], None, outcome.finished_at
    if outcome.run_at is None:
        return DUE, outcome.finished_at, None
    return (LATER if outcome.run_at > outcome.finished_at else DUE), outcome.run_at, None
