"""The promises, each held against the whole history. Every check raises AssertionError with the job's story."""

from collections import Counter
from itertools import pairwise

import msgspec

from protocol.times import maybe_rfc3339
from supervisor.core.job import Cause, Job, State
from supervisor.daemon.main import MAX_INTERRUPTIONS
from tests.crash.history import History, Run
from tests.crash.ledger import Ended


def check_all(history: History) -> None:
    check_no_accepted_job_is_missing(history)
    check_every_job_ended_once(history)
    check_what_was_answered_was_on_disk(history)
    check_one_key_is_one_job(history)
    check_batches_are_whole_or_not_there(history)
    check_results_are_of_the_attempt_that_counts(history)
    check_attempts_rise(history)
    check_no_run_overlaps_another(history)
    check_leftovers_are_gone_before_the_first_run(history)
    check_interruptions_are_counted(history)
    check_nothing_runs_after_its_end(history)


def story(history: History, job_id: str) -> str:
    """Everything that is known of one job."""
    lines = [f"job {job_id}"]
    runs = history.runs.get(job_id, [])
    before: tuple[object, ...] | None = None
    for number, life in enumerate(history.lives):
        lines += [f"  {run}" for run in runs if run.daemon == number]
        job = life.disk.get(job_id)
        now = None if job is None else (str(job.state), job.attempt, job.interruptions, job.result, job.error)
        if now != before:
            lines.append(f"  on disk after daemon {number} ({life.struck or 'killed'}): {now}")
            before = now
    lines += [f"  told: {ended}" for ended in history.ledger.ended if ended.id == job_id]
    lines += [f"  {accepted}" for accepted in history.ledger.accepted if accepted.id == job_id]
    return "\n".join(lines)


def check_no_accepted_job_is_missing(history: History) -> None:
    for accepted in history.ledger.accepted:
        for life in history.lives[accepted.daemon :]:
            assert accepted.id in life.disk, story(history, accepted.id)


def check_every_job_ended_once(history: History) -> None:
    """Also those whose submit was never answered; and a final state is never left, but by a retry."""
    for job_id, job in history.last.items():
        assert job.state.final, story(history, job_id)
        if job.state is State.FAILED:
            assert job.error is not None
            assert job.error.cause in (Cause.TIMEOUT, Cause.INTERRUPTED), story(history, job_id)
        if job_id in history.ledger.retried:
            continue
        final = {_ending(life.disk[job_id]) for life in history.lives if _is_final(life.disk.get(job_id))}
        assert final == {_ending(job)}, story(history, job_id)


def check_what_was_answered_was_on_disk(history: History) -> None:
    for ended in history.ledger.ended:
        job = history.lives[ended.daemon].disk.get(ended.id)
        assert job is not None, story(history, ended.id)
        assert _as_told(ended) == _as_stored(job), story(history, ended.id)


def check_one_key_is_one_job(history: History) -> None:
    first: dict[str, str] = {}
    for accepted in history.ledger.accepted:
        assert accepted.same, story(history, accepted.id)
        if accepted.key is None:
            assert accepted.created, story(history, accepted.id)
            continue
        assert first.setdefault(accepted.key, accepted.id) == accepted.id, story(history, accepted.id)
        if accepted.first:
            assert accepted.created, story(history, accepted.id)
    created = Counter(accepted.id for accepted in history.ledger.accepted if accepted.created)
    assert all(count == 1 for count in created.values())
    stored = Counter(job.key for job in history.last.values() if job.key is not None)
    assert stored == Counter(history.ledger.keys)


def check_batches_are_whole_or_not_there(history: History) -> None:
    for life in history.lives:
        stored = Counter(tag for job in life.disk.values() for tag in job.tags)
        for tag, size in history.ledger.batches.items():
            assert stored[tag] in (0, size), f"{stored[tag]} of the {size} jobs of {tag} are there"


def check_results_are_of_the_attempt_that_counts(history: History) -> None:
    """A result comes from a worker of the daemon that recorded it, and from the job's last attempt."""
    for job_id, job in history.last.items():
        if job.state is not State.DONE:
            continue
        assert job.result is not None
        result = msgspec.json.decode(job.result)
        assert result["attempt"] == job.attempt, story(history, job_id)
        recorder = next(n for n, life in enumerate(history.lives) if _is_done(life.disk.get(job_id), job.attempt))
        answered = [run for run in history.runs[job_id] if run.daemon == recorder and run.pid == result["pid"]]
        assert [run for run in answered if run.finished and run.attempt == job.attempt], story(history, job_id)


def check_attempts_rise(history: History) -> None:
    """From run to run; the same number comes twice only where the first was not on disk when its daemon died."""
    for job_id, runs in history.runs.items():
        for before, after in pairwise(runs):
            if before.daemon == after.daemon:
                assert before.attempt < after.attempt, story(history, job_id)
        for run in runs:
            found = history.lives[run.daemon - 1].disk.get(job_id) if run.daemon else None
            assert run.attempt > (found.attempt if found else 0), story(history, job_id)
            # A claim may be lost with its daemon, an outcome that was recorded may not.
            left = history.lives[run.daemon].disk.get(job_id)
            assert left is not None, story(history, job_id)
            assert left.attempt >= run.attempt or left.state is State.PENDING, story(history, job_id)


def check_no_run_overlaps_another(history: History) -> None:
    for job_id, runs in history.runs.items():
        for before, after in pairwise(runs):
            assert before.ends < after.begins, story(history, job_id)


def check_leftovers_are_gone_before_the_first_run(history: History) -> None:
    heard = 0
    for life in history.lives:
        if life.marks:
            assert heard < min(mark.at for mark in life.marks), "two daemons' workers ran at the same time"
            heard = max(heard, *(mark.at for mark in life.marks))


def check_interruptions_are_counted(history: History) -> None:
    """One for each time the job was found running; those it is given up after end it."""
    found: Counter[str] = Counter()
    for before, after in pairwise(history.lives):
        if after.recovered:
            found.update(job_id for job_id, job in before.disk.items() if job.state is State.RUNNING)
    for job_id, job in history.last.items():
        if job_id in history.ledger.retried:
            continue
        assert job.interruptions == found[job_id], story(history, job_id)
        given_up = job.error is not None and job.error.cause is Cause.INTERRUPTED
        assert given_up == (job.interruptions >= MAX_INTERRUPTIONS), story(history, job_id)


def check_nothing_runs_after_its_end(history: History) -> None:
    """Neither once somebody was told of it, nor in any daemon after the one that recorded it."""
    for ended in history.ledger.ended:
        for run in history.runs.get(ended.id, []):
            assert run.ends < ended.at, story(history, ended.id)
    for job_id, runs in history.runs.items():
        if job_id not in history.ledger.retried:
            assert not [run for run in runs if _was_final_before(history, run)], story(history, job_id)


def _was_final_before(history: History, run: Run) -> bool:
    return run.daemon > 0 and _is_final(history.lives[run.daemon - 1].disk.get(run.id))


def _is_final(job: Job | None) -> bool:
    return job is not None and job.state.final


def _is_done(job: Job | None, attempt: int) -> bool:
    return job is not None and job.state is State.DONE and job.attempt == attempt


def _ending(job: Job) -> tuple[object, ...]:
    return job.state, job.attempt, job.finished_at, job.result


def _as_told(ended: Ended) -> tuple[object, ...]:
    view = ended.view
    return view["state"], view["attempt"], view["finished_at"], view["result"], view["interruptions"]


def _as_stored(job: Job) -> tuple[object, ...]:
    result = None if job.result is None else msgspec.json.decode(job.result)
    return str(job.state), job.attempt, maybe_rfc3339(job.finished_at), result, job.interruptions
