"""The port every store implements: domain verbs, synchronous, batch-shaped, called from one thread.

A backend knows nothing of trio, pools or policies. Whatever is decided was decided in core; here it is recorded.
Verbs that write run between `begin()` and `commit()`: the group committer opens one transaction, plays every waiting
verb into it, and commits once. Reads see what the open transaction wrote.

Errors: errors.StoreUnavailable for whatever a later try may cure (full disk, I/O error, lock), after which the
transaction is rolled back; errors.StartError from `open` for what it may not (locked by another daemon, newer schema,
not a database).
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from supervisor.core.identity import Holder
from supervisor.core.job import Cause, Claim, Job, JobError, NewJob, Outcome, Progress, Rank, Ready, State
from supervisor.core.journal import EVERY, Extent, JobEvent, Wanted
from supervisor.core.retention import Keep
from supervisor.core.verdict import cut_short

KEPT_ATTEMPTS = 20  # of one job, the newest
EVENTS_LOOKED_AT = 20_000  # for one page of the journal
PAGE_BYTES = 8 * 1024 * 1024  # of payloads and results in one page of a full list


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one submitted job. `created` False: an earlier job (same client and key, or a live one of the same
    queue and `unique`) answers, and `same` says whether queue and payload are equal. `refused`: and that job is in the
    way. `replaced` is the id of the job that was cancelled for this one."""

    seq: int
    id: str
    created: bool
    state: State
    due: bool  # created, and ready to be claimed now
    same: bool = True
    refused: bool = False
    replaced: str | None = None


class Cut(msgspec.Struct, frozen=True):
    """A job that ran when the daemon ended: its attempt, and whether it was given up."""

    id: str
    queue: str
    attempt: int
    failed: bool


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """What `recover` found: the new boot epoch, and how many running jobs went back or were given up; which these
    were."""

    epoch: int
    requeued: int
    failed: int
    jobs: tuple[Cut, ...] = ()


class Promoted(msgspec.Struct, frozen=True, kw_only=True):
    """What one step of the clock did: queues with newly due rows, ids that expired, and the next instant of interest
    (None: nothing waits for the clock; `<= now`: there is more to do, call again)."""

    queues: tuple[str, ...]
    expired: tuple[str, ...]
    next_at: int | None


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of cancel, retry and delete: the state before, and whether this call changed it.

    `before` None: no such job. `conflict` is the id of the job that holds the `unique` value a retry would need.
    """

    before: State | None
    changed: bool
    queue: str | None = None
    conflict: str | None = None


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs are meant: those that meet all of it; None or empty: all.

    `cause` is that of the error that a job ended with, so it means failed jobs alone, or, if it is REPLACED, cancelled
    ones. The times are `after` or at, and `before`; a job that has not finished has finished neither before nor after
    anything.
    """

    queue: str | None = None
    states: tuple[State, ...] = ()
    tag: str | None = None
    client: str | None = None
    name: str | None = None
    cause: Cause | None = None
    created_after: int | None = None
    created_before: int | None = None
    finished_after: int | None = None
    finished_before: int | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first. `next_seq` goes into the following call's `before`; None: that was the last page."""

    jobs: tuple[Job, ...]
    total: int
    next_seq: int | None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the jobs that match, newest first. `next_seq` goes into the following call's `before`; None: there are no
    more."""

    ids: tuple[str, ...]
    next_seq: int | None


class Position(msgspec.Struct, frozen=True, kw_only=True):
    ahead: int
    active: int


class QueueCounts(msgspec.Struct, frozen=True, kw_only=True):
    """One queue at a glance. `due` is the part of `pending` whose run_at has come."""

    queue: str
    pending: int
    due: int
    running: int
    done: int
    failed: int
    cancelled: int
    expired: int
    oldest_pending_at: int | None  # run_at of the oldest due job (judged by the first few of each priority)
    paused: bool


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Oldest first. `last` goes into the following call's `after`; it may be the number of an event that was looked at
    and not wanted. `more`: there are events behind it already."""

    events: tuple[JobEvent, ...]
    last: int
    more: bool


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """How far a snapshot is, in bytes; `of` changes with the store."""

    bytes: int
    of: int
    complete: bool


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy of the store holds. `schema` is the version of its tables."""

    bytes: int
    schema: int
    jobs: int
    running: int


NOT_AGAIN = cut_short("the daemon ended")  # the error of a job that `recover` fails for its queue's sake


def interrupted(times: int) -> JobError:
    """The error of a job that `recover` gives up."""
    message = f"the daemon ended {times} times while this job ran; it is not started again unless you retry it"
    return JobError(cause=Cause.INTERRUPTED, message=message, retry=False)


class Reader(Protocol):
    """Reads beside the writer: a consistent view of what is committed; each call short. Used from any one thread at
    a time; `close` when done."""

    def get(self, job_id: str) -> Job | None: ...

    def list(self, want: Filter, *, limit: int, before: int | None, full: bool) -> Page:
        """One page; `before` is a place and not a count, so jobs that are added meanwhile shift nothing.

        Without `full`: no payload, result or attempts. With it a page may hold fewer than `limit` jobs: it ends where
        payloads and results would pass PAGE_BYTES (but holds at least one job).
        """
        ...

    def find(self, want: Filter, *, limit: int, before: int | None) -> Found:
        """The next `limit` jobs that match, or fewer, even none, where the call would become long: `next_seq` alone
        says whether there are more. Going on from it meets each job once, and none that was submitted meanwhile."""
        ...

    def heads(self, seqs: Sequence[int]) -> Sequence[Job]:
        """Those of these jobs that are there, without payload, result and attempts, in no order."""
        ...

    def clients(self, prefix: str) -> Sequence[str]:
        """Those with this prefix of whom any job is there, in order. Cost depends on their number alone."""
        ...

    def position(self, job_id: str) -> Position | None:
        """A pending job that is not due yet stands behind all due ones, in the order in which they become due."""
        ...

    def counts(self) -> tuple[QueueCounts, ...]:
        """Every queue the store has a row of (jobs or a pause)."""
        ...

    def events(self, after: int | None, *, limit: int, want: Wanted = EVERY) -> EventPage:
        """What the journal says next of what is wanted; `after` None: from its oldest event on.

        Looks at no more than EVENTS_LOOKED_AT events, so that a page may be empty though there are more. Raises Gone
        as core.journal.begin.
        """
        ...

    def extent(self) -> Extent:
        """Of the journal."""
        ...

    def close(self) -> None: ...


class Snapshot(Protocol):
    """A copy of the whole store in the making. `step` and `close` belong between the writer's transactions, like reads,
    and what is committed between two steps is in the copy too: complete, it is the store as of its last step."""

    path: Path

    def step(self) -> Copied:
        """Copy for a few milliseconds. Raises StoreUnavailable, after which `close` is all that is left."""
        ...

    def contents(self) -> Contents:
        """Of the complete copy, on any thread."""
        ...

    def close(self) -> None:
        """The end of it, complete or not; `remove` is the next step. Never raises."""
        ...

    def remove(self) -> None:
        """The file. On any thread: that of a large one takes a while. Never raises."""
        ...


class Store(Protocol):
    """The one writer. Each verb that changes jobs writes into the journal what happened to them, in the order in which
    it did."""

    def recover(self, now: int, *, max_interruptions: int, not_again: Collection[str] = ()) -> Recovered:
        """Call once, before anything else: raises the boot epoch durably; every running row goes back to pending and
        due with one interruption more, or, where that reaches `max_interruptions` and in the queues `not_again`, ends
        failed, `interrupted`, with the attempt kept."""
        ...

    def begin(self) -> None: ...

    def commit(self) -> None:
        """Durable when it returns."""
        ...

    def rollback(self) -> None:
        """Without an open transaction: nothing."""
        ...

    def tidy(self) -> None:
        """Housekeeping that no caller should have to wait for: call it after a commit, when its answers are on their
        way. It never raises, and what it leaves undone is caught up on later."""
        ...

    def touch(self, now: int) -> None:
        """Write something small: while commits fail, this is how a later one finds out whether they work again."""
        ...

    def submit(self, jobs: Sequence[NewJob], now: int) -> list[Submitted]:
        """Insert, in order. A job with client and key, or with `unique`, may be answered by an earlier one, also by
        one earlier in the same call, or take its place, as core.identity.meet says. What is NewJob.due
        at `now` is due at once.

        A job that was replaced by a later one of the same call is there too: created, and cancelled. All answers tell
        how things stand after the call."""
        ...

    def pending(self, queues: Collection[str]) -> dict[str, int]:
        """How many jobs are pending in each of these queues, due or not, as the open transaction sees it."""
        ...

    def holders(self, jobs: Sequence[NewJob]) -> Mapping[str, Holder]:
        """For the ids of those that a submit would find held: by which job, not counting jobs of the same call."""
        ...

    def record(self, claims: Sequence[Claim], outcomes: Sequence[Outcome]) -> tuple[list[bool], list[bool]]:
        """Claims, then outcomes; an outcome's own claim may be in the same call (one write then serves both).

        Each answer says whether the fence let it through: a claim needs the row pending with a lower attempt; an
        outcome needs it running in this epoch with the same attempt. A failed attempt (`error` given) is added to
        the job's attempts, of which the newest 20 are kept. A pending outcome without `run_at`, or with one that is
        not after its `finished_at`, is due at once. The job's error, result and progress become the outcome's; its
        finish is set by a final outcome only.
        """
        ...

    def progress(self, reports: Sequence[Progress]) -> None:
        """Keep how far jobs are that run at this attempt; of others nothing. At most one report of a job."""
        ...

    # With `want`, cancel, retry and delete leave a job alone that does not match (any more): what was found a moment
    # ago may have changed since.

    def cancel(self, job_ids: Sequence[str], now: int, want: Filter | None = None) -> list[Changed]:
        """Pending ones end cancelled; running and final ones are left as they are."""
        ...

    def retry(self, job_ids: Sequence[str], now: int, want: Filter | None = None) -> list[Changed]:
        """Failed, cancelled and expired ones: pending, due now; charged, crashes and interruptions zero, error and
        result and finish cleared, expires_at cleared; the attempt number and the attempts stay."""
        ...

    def delete(self, job_ids: Sequence[str], now: int, want: Filter | None = None) -> list[Changed]:
        """Pending and final ones are removed with all that is theirs except their events; running ones are left."""
        ...

    def outlived(self, keeps: Sequence[Keep], *, spare: Collection[str], limit: int) -> list[str]:
        """The ids of jobs that are not to be kept any more, up to `limit`: fewer, and there are no more. Without those
        in `spare`. Nothing is changed; `delete` is the next step. Cost does not depend on what is kept."""
        ...

    def queues(self) -> list[str]:
        """The names of all queues that ever had a job or a pause, and perhaps only that."""
        ...

    def pause(self, queue: str, paused: bool) -> None: ...

    def silence(self, queues: Collection[str]) -> None:
        """From now on the journal is not told of jobs of these queues, and of those of all others it is. Holds beyond
        a reopening."""
        ...

    def trim_events(self, *, before: int, most: int, limit: int) -> int:
        """Remove events from the journal's old end: those of before `before`, up to the first that is not, and those
        that are more than `most`; `limit` at most, and never the newest. Returns how many."""
        ...

    def promote(self, now: int, limit: int) -> Promoted:
        """Up to `limit` pending rows whose run_at has come become due, and up to `limit` pending rows past their
        expires_at end expired (paused queue or not)."""
        ...

    def ready(self, queue: str, *, after: Rank | None, limit: int, max_bytes: int, lanes: bool = False) -> list[Ready]:
        """Due pending rows in claim order, those behind `after` only, at most `limit`, and stopping once their
        payloads pass `max_bytes` (but at least one row). Cost does not depend on backlog or history. Without `lanes`
        they need not say theirs."""
        ...

    # Lanes are what core.keys makes of jobs' keys. In a queue that `limit_keys` named, each due row is in one.

    def limit_keys(self, queues: Collection[str], after: int) -> int | None:
        """From now on these queues, and no others, limit keys; call it after `recover`, first with 0. Some of the jobs
        without keys that were submitted before get their lane; not None: call again with that, there may be more. Jobs
        that are submitted meanwhile have theirs."""
        ...

    def lanes(self, queue: str, *, after: str | None, limit: int) -> list[tuple[str, Rank]]:
        """The lanes that have due rows, in the order of their names, those behind `after` only, at most `limit`; and
        the first row of each. Cost depends on `limit` alone."""
        ...

    def lane_rows(
        self, queue: str, lanes: Sequence[tuple[str, Rank]], *, limit: int, max_bytes: int
    ) -> list[tuple[list[Ready], bool]]:
        """As `ready`, for each of these lanes behind a place of its own, up to `limit`; and whether these are all of
        its rows. Once the payloads pass `max_bytes`, the lane is cut short there and the rest of them left out."""
        ...

    def get(self, job_ids: Sequence[str]) -> list[Job | None]:
        """Whole jobs, as the open transaction (or else the last commit) sees them."""
        ...

    def states(self, job_ids: Sequence[str]) -> list[State | None]:
        """The same, but no more than their states: for asking about many without reading what they carry."""
        ...

    def find(self, client: str, key: str) -> str | None:
        """The id of the job that holds this idempotency key."""
        ...

    def paused(self) -> Collection[str]: ...

    def next_at(self) -> int | None:
        """The earliest run_at or expires_at that the clock must act on."""
        ...

    def spare(self) -> int:
        """Bytes that the store has on its disk already and new rows will take: what deleted ones have left."""
        ...

    def size(self) -> int:
        """Bytes that a copy of the store would take."""
        ...

    def reader(self) -> Reader: ...

    def snapshot(self) -> Snapshot:
        """Begin one, in a file beside the store; one at a time. What a crash leaves of it, the next opening removes.
        Raises StoreUnavailable."""
        ...

    def close(self) -> None:
        """A clean end: what the backend does to leave its files tidy."""
        ...
