"""What is kept of attempts that failed, and when the next one comes: the queue's word, or the job's own."""

from pathlib import Path

import pytest

from supervisor.config.model import Backoff, QueueConfig
from supervisor.core.job import MICROS, Cause, State
from supervisor.store.port import KEPT_ATTEMPTS
from tests.pool.marked import begun, marked, marked_pool
from tests.pool.rig import python, rig

HOURS = Backoff(delays=(3600.0,))
AT_ONCE = Backoff(delays=(0.0,))
# Fails in another way each time: says so, exits, is killed, takes too long; on its fifth attempt it is well.
FAILS_IN_ALL_WAYS = python(
    "import json, os, signal, sys, time",
    "for line in sys.stdin:",
    "    job = json.loads(line)",
    "    number = job['attempt']",
    "    print('in attempt', number, file=sys.stderr, flush=True)",
    "    if number == 2: sys.exit(3)",
    "    if number == 3: os.kill(os.getpid(), signal.SIGSEGV)",
    "    if number == 4: time.sleep(60)",
    "    answers = {1: {'status': 'error', 'message': 'no such file'}, 5: {'status': 'ok'}}",
    "    print(json.dumps({'id': job['id'], **answers[number]}), flush=True)",
)


async def test_every_failed_attempt_is_kept_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    async with rig(FAILS_IN_ALL_WAYS, folder=tmp_path, boot_timeout=1.0) as daemon:
        first = daemon.slot.child.pid
        job = await daemon.run(None, max_attempts=9, backoff=AT_ONCE, timeout=0.5)
    assert (job.state, job.attempt, job.charged, job.crashes) == (State.DONE, 5, 4, 2)
    error, exited, killed, slow = (attempt.error for attempt in job.attempts)
    assert (error.cause, error.message, error.exit_code, error.signal) == (Cause.ERROR, "no such file", None, None)
    assert (exited.cause, exited.exit_code, exited.signal) == (Cause.EXITED, 3, None)
    assert (killed.cause, killed.exit_code, killed.signal) == (Cause.EXITED, None, "SIGSEGV")
    assert (slow.cause, slow.exit_code, slow.signal) == (Cause.TIMEOUT, None, None)
    for number, attempt in enumerate(job.attempts, start=1):
        assert attempt.attempt == number
        assert attempt.error.stderr is not None
        assert f"in attempt {number}" in attempt.error.stderr
        assert job.created_at <= attempt.started_at <= attempt.finished_at
    assert job.attempts[3].finished_at - job.attempts[3].started_at >= MICROS // 2
    pids = [attempt.pid for attempt in job.attempts]
    assert pids[:2] == [first, first]  # an error reply costs no worker its life, everything else does
    assert len(set(pids)) == 3


async def test_the_newest_twenty_are_kept(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon:
        job = await daemon.run({"fails": 99}, max_attempts=KEPT_ATTEMPTS + 3, backoff=AT_ONCE)
    assert (job.state, job.charged) == (State.FAILED, KEPT_ATTEMPTS + 3)
    assert [attempt.attempt for attempt in job.attempts] == list(range(4, KEPT_ATTEMPTS + 4))
    assert job.error == job.attempts[-1].error


@pytest.mark.parametrize("max_attempts", [1, 2, 4])
@pytest.mark.provokes("backoff", "max_attempts", program="marker.py")
async def test_a_job_brings_its_own_waits_and_their_number_is_not_that_of_its_attempts(
    tmp_path: Path, max_attempts: int
) -> None:
    patient = QueueConfig(name="q", max_attempts=50, backoff=HOURS)
    async with rig(folder=tmp_path, pools=[marked_pool(tmp_path)], queue=patient) as daemon:
        own = Backoff(delays=(0.0, 0.02), jitter=0.0)
        job = await daemon.run({"fails": 99}, max_attempts=max_attempts, backoff=own)
        assert (job.state, job.attempt, job.charged) == (State.FAILED, max_attempts, max_attempts)
        waits = [
            after.started_at - before.finished_at for before, after in zip(job.attempts, job.attempts[1:], strict=False)
        ]
        assert all(wait >= 0.02 * MICROS for wait in waits[1:])
        assert len(begun(tmp_path)) == max_attempts


async def test_a_queues_list_holds_for_jobs_that_bring_none_also_from_the_store(tmp_path: Path) -> None:
    """The second attempt's row comes from the look-ahead, the third's was read: both know whose waits hold."""
    listed = QueueConfig(name="q", max_attempts=9, backoff=Backoff(delays=(0.0, 0.03, 3600.0), jitter=0.0))
    async with rig(folder=tmp_path, pools=[marked_pool(tmp_path)], queue=listed) as daemon:
        [job_id] = await daemon.submit({"fails": 99})
        await daemon.until(lambda: len(begun(tmp_path)) == 3 and not daemon.feeder.running)
        job = await daemon.service.get(job_id)
        assert (job.state, job.charged) == (State.PENDING, 3)
        assert job.run_at - job.attempts[-1].finished_at == 3600 * MICROS
        assert (await daemon.run({"fails": 3}, backoff=AT_ONCE)).state is State.DONE
        cancelled = await daemon.service.cancel(job_id)
        assert len(cancelled.attempts) == 3


async def test_a_retry_by_hand_begins_the_list_anew(tmp_path: Path) -> None:
    patient = QueueConfig(name="q", max_attempts=2, backoff=HOURS)
    async with rig(folder=tmp_path, pools=[marked_pool(tmp_path)], queue=patient) as daemon:
        own = Backoff(delays=(0.0, 3600.0), jitter=0.0)
        job = await daemon.run({"fails": 3}, backoff=own)
        assert (job.state, job.charged) == (State.FAILED, 2)
        await daemon.service.retry(job.id)
        [job] = await daemon.ends(job.id)
        assert (job.state, job.charged, job.attempt) == (State.DONE, 1, 4)
