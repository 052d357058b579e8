"""What goes wrong with a worker: one row of the protocol's table, one test, one program of tests/workers."""

import json
import os
import signal

import pytest
import trio

from supervisor.config.model import Backoff, QueueConfig
from supervisor.core.job import Cause, State
from tests.pool.rig import pool_config, python, rig
from tests.workers import Gate, command

TWICE = QueueConfig(name="q", max_attempts=2, backoff=Backoff(base=0.01, cap=0.02))
PAUSE = QueueConfig(name="q", max_attempts=5, max_crashes=5, backoff=Backoff(base=0.01, cap=0.02))


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rsplit(b")", 1)[1].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


async def test_a_job_is_answered_and_the_child_is_kept(tmp_path):
    async with rig(command("echo"), folder=tmp_path) as daemon:
        pid = daemon.slot.child.pid
        for payload in (None, {"n": 1}, "ü", [1, [2]]):
            job = await daemon.run(payload)
            assert (job.state, json.loads(job.result)) == (State.DONE, payload)
        assert daemon.slot.child.pid == pid


@pytest.mark.provokes("error", "max_attempts", program="error.py")
async def test_an_error_reply_fails_the_attempt_with_its_message_and_keeps_the_child(tmp_path):
    async with rig(command("error"), folder=tmp_path, queue=TWICE) as daemon:
        pid = daemon.slot.child.pid
        job = await daemon.run({"message": "no such file", "details": {"path": "x"}})
        assert (job.state, job.charged, job.attempt) == (State.FAILED, 2, 2)
        assert (job.error.cause, job.error.message) == (Cause.ERROR, "no such file")
        assert json.loads(bytes(job.error.details)) == {"path": "x"}
        assert [one.attempt for one in job.attempts] == [1, 2]
        assert {one.pid for one in job.attempts} == {pid} == {daemon.slot.child.pid}


@pytest.mark.provokes("error", program="error.py")
async def test_retry_false_fails_the_job_at_once(tmp_path):
    async with rig(command("error"), folder=tmp_path, queue=PAUSE) as daemon:
        job = await daemon.run({"message": "never", "retry": False})
        assert (job.state, job.attempt, job.error.retry) == (State.FAILED, 1, False)


@pytest.mark.provokes("throttled", program="throttled.py")
async def test_a_throttled_job_comes_back_uncharged_and_the_child_is_kept(tmp_path):
    async with rig(command("throttled"), folder=tmp_path) as daemon:
        pid = daemon.slot.child.pid
        job = await daemon.run({"retry_after_secs": 0.01, "until": 4})
        assert (job.state, job.attempt, job.charged, job.attempts) == (State.DONE, 4, 0, ())
        assert daemon.slot.child.pid == pid


async def test_progress_is_seen_while_the_job_runs_and_kept_after_it(tmp_path):
    with Gate(tmp_path) as gate:
        async with rig(command("progress"), folder=tmp_path) as daemon:
            [job_id] = await daemon.submit({"steps": 2, "gate": gate.path})
            await daemon.until(lambda: daemon.slot.run is not None and daemon.slot.run.progress is not None)
            running = await daemon.service.get(job_id)
            assert running.state is State.RUNNING
            assert "progress" in json.loads(running.progress)
            gate.open()
            [job] = await daemon.ends(job_id)
            assert job.state is State.DONE
            assert "progress" in json.loads(job.progress)


async def test_the_last_progress_is_kept_within_a_second_or_two_and_told_in_the_journal(tmp_path):
    with Gate(tmp_path) as gate:
        async with rig(command("progress"), folder=tmp_path) as daemon:
            [job_id] = await daemon.submit({"steps": 2, "gate": gate.path})
            reader = daemon.store.reader()
            await daemon.until(lambda: reader.get(job_id).progress is not None)
            kept = json.loads(reader.get(job_id).progress)
            assert (kept["done"], kept["total"], kept["data"]) == (1, 2, {"step": 1})
            [told] = [event for event in reader.events(None, limit=100).events if event.kind == "progress"]
            brief = {"progress": 0.5, "message": "step 1 of 2", "done": 1, "total": 2}
            assert (told.job, told.attempt, json.loads(told.progress)) == (job_id, 1, brief)
            reader.close()
            gate.open()
            await daemon.ends(job_id)


@pytest.mark.parametrize(
    ("program", "payload", "cause", "says"),
    [
        ("desync", {"as": "0199f3c2-0000-7000-8000-000000000000"}, Cause.DESYNC, "0199f3c2-0000"),
        ("garbage", {"line": "Traceback (most recent call last)"}, Cause.GARBAGE, "Traceback"),
        ("garbage", {"hex": "ff00fe"}, Cause.GARBAGE, "stderr"),
        ("garbage", {"nested": 20_000}, Cause.GARBAGE, "stdout is for replies"),
        ("oversize", {"bytes": 70_000}, Cause.OVERSIZE, "max_line = 65536"),
        ("oversize", {"endless": True}, Cause.OVERSIZE, "max_line = 65536"),
        ("exits", {"code": 3}, Cause.EXITED, "exited with code 3"),
        ("exits", {"code": 3, "close_first": True}, Cause.EXITED, "exited with code 3"),
        ("crashes", {"signal": "SIGSEGV"}, Cause.EXITED, "killed by SIGSEGV"),
        ("closes_stdout", {"now": True}, Cause.EXITED, "closed its stdout"),
        ("closes_pipes", {}, Cause.EXITED, "closed its stdout"),
        ("half_line", {"secs": 60}, Cause.TIMEOUT, "no reply within 0.3 s"),
        ("never_answers", {"now": True}, Cause.TIMEOUT, "no reply within 0.3 s"),
    ],
)
@pytest.mark.provokes("desync", program="desync.py")
@pytest.mark.provokes("garbage", program="garbage.py")
@pytest.mark.provokes("oversize", "max_line", program="oversize.py")
@pytest.mark.provokes("exited", program="exits.py")
@pytest.mark.provokes("exited", program="crashes.py")
@pytest.mark.provokes("exited", program="closes_stdout.py")
@pytest.mark.provokes("exited", program="closes_pipes.py")
@pytest.mark.provokes("half a line", program="half_line.py")
@pytest.mark.provokes("no reply", "timeout", program="never_answers.py")
async def test_the_attempt_says_what_happened_and_the_child_is_replaced(tmp_path, program, payload, cause, says):
    async with rig(command(program), folder=tmp_path, timeout=0.3, max_line=65536) as daemon:
        assert (await daemon.run(None)).state is State.DONE  # its boot is over: from now on `timeout` is all there is
        pid = daemon.slot.child.pid
        job = await daemon.run(payload)
        assert (job.state, job.charged, job.error.cause) == (State.FAILED, 1, cause)
        assert says in job.error.message
        assert job.attempts[0].pid == pid
        assert not alive(pid)
        assert (await daemon.run(None)).state is State.DONE
        assert daemon.slot.child.pid != pid


@pytest.mark.provokes("exited", "stderr tail", program="stderr_then_exit.py")
async def test_an_exit_carries_its_code_and_the_last_lines_of_stderr(tmp_path):
    async with rig(command("stderr_then_exit"), folder=tmp_path) as daemon:
        job = await daemon.run({"lines": ["loading", "KeyError: 'x'"], "code": 7})
        assert (job.error.exit_code, job.error.signal) == (7, None)
        assert job.error.stderr.endswith("KeyError: 'x'")


@pytest.mark.provokes("exited", program="crashes.py")
async def test_a_death_by_signal_carries_its_name(tmp_path):
    async with rig(command("crashes"), folder=tmp_path) as daemon:
        job = await daemon.run({"signal": "SIGKILL"})
        assert (job.error.exit_code, job.error.signal) == (None, "SIGKILL")


async def test_an_error_reply_carries_the_stderr_of_its_own_attempt_only(tmp_path):
    worker = python(
        "import json, sys",
        "for number, line in enumerate(sys.stdin):",
        "    print('words', number, file=sys.stderr, flush=True)",
        "    print(json.dumps({'status': 'error'}), flush=True)",
    )
    async with rig(worker, folder=tmp_path) as daemon:
        await daemon.run(0)
        await daemon.until(lambda: daemon.slot.life.last_words() == "words 0")
        assert (await daemon.run(1)).error.stderr in ("words 1", None)  # the pipes are two: stderr may come later


@pytest.mark.provokes("extra line", program="two_replies.py")
async def test_a_second_reply_in_the_same_write_costs_no_job_anything(tmp_path):
    async with rig(command("two_replies"), folder=tmp_path) as daemon:
        pid = daemon.slot.child.pid
        first, second = await daemon.submit({"second": True}, None)
        jobs = await daemon.ends(first, second)
        assert [job.state for job in jobs] == [State.DONE, State.DONE]
        assert [job.attempt for job in jobs] == [1, 1]
        assert json.loads(jobs[0].result) == "first"
        assert daemon.slot.child.pid != pid


@pytest.mark.provokes("extra line", program="two_replies.py")
async def test_a_second_reply_while_idle_is_seen_before_the_next_checkout(tmp_path):
    with Gate(tmp_path) as gate:
        async with rig(command("two_replies"), folder=tmp_path) as daemon:
            pid = daemon.slot.child.pid
            assert (await daemon.run({"gate": gate.path})).state is State.DONE
            gate.open()
            await daemon.until(lambda: not alive(pid))
            gate.close()
            job = await daemon.run(None)
            assert (job.state, job.attempt, job.charged) == (State.DONE, 1, 0)


@pytest.mark.provokes("extra line", program="two_replies.py")
async def test_a_second_reply_that_meets_the_next_request_releases_that_job_uncharged(tmp_path):
    with Gate(tmp_path) as gate:
        async with rig(command("two_replies"), folder=tmp_path) as daemon:
            first, second = await daemon.submit({"gate": gate.path}, None)
            await daemon.ends(first)
            await daemon.until(lambda: daemon.slot.run is not None and daemon.slot.run.id == second)
            gate.open()
            [job] = await daemon.ends(second)
            assert (job.state, job.attempt, job.charged, job.attempts) == (State.DONE, 2, 0, ())
            assert json.loads(job.result) != "second"


@pytest.mark.provokes("extra line", program="chatter_idle.py")
async def test_chatter_while_idle_is_seen_before_the_next_checkout(tmp_path):
    with Gate(tmp_path) as gate:
        async with rig(command("chatter_idle"), folder=tmp_path) as daemon:
            pid = daemon.slot.child.pid
            await daemon.run({"gate": gate.path})
            gate.open()
            await daemon.until(lambda: not alive(pid))
            gate.close()
            job = await daemon.run(None)
            assert (job.state, job.attempt, job.charged) == (State.DONE, 1, 0)


@pytest.mark.provokes("extra line", program="chatter_idle.py")
async def test_a_program_that_greets_on_stdout_degrades_its_pool_and_says_so(tmp_path):
    async with rig(command("chatter_idle", "--at-boot"), folder=tmp_path) as daemon:
        await daemon.until(lambda: daemon.pools[0].health.reason is not None)
        assert "worker 1.0 is up" in daemon.pools[0].health.reason
        assert daemon.service.pools("p")[0].state == "degraded"


@pytest.mark.parametrize("payload", [{"code": 0}, {"signal": "SIGKILL"}])
@pytest.mark.provokes("dies idle", program="dies_idle.py")
async def test_death_while_idle_costs_no_job_anything(tmp_path, payload):
    with Gate(tmp_path) as gate:
        async with rig(command("dies_idle"), folder=tmp_path) as daemon:
            pid = daemon.slot.child.pid
            assert (await daemon.run({**payload, "gate": gate.path})).state is State.DONE
            gate.open()
            await daemon.until(lambda: not alive(pid))
            job = await daemon.run(None)
            assert (job.state, job.attempt, job.charged) == (State.DONE, 1, 0)
            assert daemon.slot.child.pid != pid


async def test_an_idle_child_killed_from_outside_is_replaced_at_once(tmp_path):
    async with rig(command("echo"), folder=tmp_path) as daemon:
        await daemon.run(None)
        pid = daemon.slot.child.pid
        os.kill(pid, signal.SIGKILL)
        await daemon.until(lambda: daemon.slot.child is not None and daemon.slot.child.pid != pid)
        assert daemon.pools[0].health.reason is None


@pytest.mark.provokes("dies idle", program="answers_once_and_exits.sh")
async def test_a_worker_that_answers_once_and_exits_fails_no_job(tmp_path):
    async with rig(command("answers_once_and_exits.sh"), folder=tmp_path, size=2) as daemon:
        jobs = await daemon.ends(*await daemon.submit(*range(300)))
        assert {job.state for job in jobs} == {State.DONE}
        assert {job.charged for job in jobs} == {0}
        assert daemon.pools[0].health.reason is None


@pytest.mark.provokes("never reads", program="never_reads.py")
async def test_a_worker_that_never_reads_its_stdin_times_out_and_blocks_nobody(tmp_path):
    async with rig(command("never_reads"), folder=tmp_path, boot_timeout=0.2, timeout=0.2) as daemon:
        job = await daemon.run("x" * 300_000)
        assert (job.state, job.error.cause) == (State.FAILED, Cause.TIMEOUT)


@pytest.mark.provokes("dies at boot", program="boots_badly.py")
async def test_a_program_that_dies_at_boot_costs_no_job_and_comes_back_when_mended(tmp_path):
    mended = tmp_path / "mended"
    async with rig(command("boots_badly", str(mended)), folder=tmp_path) as daemon:
        ids = await daemon.submit(1, 2, 3)
        await daemon.until(lambda: daemon.pools[0].crashes >= 2)
        pool = daemon.service.pools("p")[0]
        assert pool.state == "degraded"
        assert "ImportError" in pool.reason or "ModuleNotFoundError" in pool.reason
        for job_id in ids:
            job = await daemon.service.get(job_id)
            assert (job.charged, job.crashes) == (0, 0)
        mended.touch()
        jobs = await daemon.ends(*ids)
        assert {job.state for job in jobs} == {State.DONE}
        assert daemon.service.pools("p")[0].state == "ready"


@pytest.mark.provokes("not found")
async def test_a_program_that_is_not_there_degrades_its_pool_and_says_which(tmp_path):
    async with rig(["/no/such/program"], folder=tmp_path) as daemon:
        [job_id] = await daemon.submit(1)
        assert daemon.pools[0].state == "degraded"
        assert "/no/such/program" in daemon.pools[0].health.reason
        assert (await daemon.service.get(job_id)).state is State.PENDING


@pytest.mark.provokes("boot_timeout", program="slow_boot.py")
async def test_a_slow_boot_does_not_eat_the_first_jobs_timeout(tmp_path):
    async with rig(command("slow_boot", "0.5"), folder=tmp_path, timeout=0.3, boot_timeout=10.0) as daemon:
        assert (await daemon.run(1)).state is State.DONE


@pytest.mark.provokes("kill_grace", program="ignores_term.py")
async def test_a_worker_deaf_to_sigterm_is_killed_after_its_grace(tmp_path):
    async with rig(command("ignores_term"), folder=tmp_path, timeout=0.2) as daemon:
        await daemon.run(None)
        pid = daemon.slot.child.pid
        job = await daemon.run({"now": True})
        assert job.error.cause is Cause.TIMEOUT
        assert not alive(pid)


@pytest.mark.parametrize("session", [False, True])
@pytest.mark.parametrize("then", ["exit", "hang"])
@pytest.mark.provokes("grandchildren", program="forks_grandchild.py")
async def test_the_whole_tree_is_gone_before_the_attempt_is_judged(tmp_path, then, session):
    pid_file = tmp_path / "grandchild"
    async with rig(command("forks_grandchild"), folder=tmp_path, timeout=0.3, boot_timeout=1.0) as daemon:
        job = await daemon.run({"pid_file": str(pid_file), "then": then, "deaf": True, "session": session})
        assert job.state is State.FAILED
        assert not alive(int(pid_file.read_text()))


@pytest.mark.provokes("stderr flood", program="flood_stderr.py")
async def test_a_flood_on_stderr_blocks_neither_the_worker_nor_another_pools_jobs(tmp_path):
    async with rig(command("flood_stderr"), folder=tmp_path) as daemon:
        job = await daemon.run({"bytes": 20_000_000})
        assert job.state is State.DONE


@pytest.mark.provokes("asks for retirement", program="recycle_me.py")
async def test_a_worker_that_asks_for_it_is_recycled_between_jobs(tmp_path):
    async with rig(command("recycle_me"), folder=tmp_path) as daemon:
        jobs = await daemon.ends(*await daemon.submit(1, 2, 3))
        pids = {json.loads(job.result)["pid"] for job in jobs}
        assert len(pids) == 3
        assert {job.attempt for job in jobs} == {1}
        assert daemon.pools[0].crashes == 0


@pytest.mark.provokes("max_line", program="big_result.py")
async def test_a_big_result_arrives_whole(tmp_path):
    async with rig(command("big_result"), folder=tmp_path) as daemon:
        job = await daemon.run({"bytes": 3_000_000})
        assert len(job.result) >= 3_000_000


@pytest.mark.provokes("poison", "max_crashes", program="exits.py")
async def test_a_job_that_kills_its_worker_again_and_again_is_quarantined(tmp_path):
    queue = QueueConfig(name="q", max_attempts=10, max_crashes=3, backoff=Backoff(base=0.01, cap=0.02))
    async with rig(command("exits"), folder=tmp_path, queue=queue) as daemon:
        job = await daemon.run({"code": 1})
        assert (job.state, job.error.cause, job.crashes) == (State.FAILED, Cause.POISON, 3)
        assert [one.error.cause for one in job.attempts][:2] == [Cause.EXITED, Cause.EXITED]


@pytest.mark.provokes("closed stdin")
async def test_a_worker_that_closed_its_stdin_is_replaced_and_the_next_job_is_not_charged(tmp_path):
    worker = python(
        "import os, sys",
        "os.read(0, 65536)",
        "os.close(0)",
        'os.write(1, b\'{"status":"ok"}\\n\')',
        "import time; time.sleep(300)",
    )
    async with rig(worker, folder=tmp_path) as daemon:
        first, second = await daemon.ends(*await daemon.submit(1, 2))
        assert (first.state, second.state) == (State.DONE, State.DONE)
        assert (second.charged, second.attempts) == (0, ())


async def test_the_signal_of_our_own_kill_is_not_blamed_on_a_worker_that_closed_its_stdout(tmp_path):
    async with rig(command("closes_stdout"), folder=tmp_path) as daemon:
        error = (await daemon.run({"now": True})).error
        assert (error.exit_code, error.signal) == (None, None)


@pytest.mark.provokes("result too large", program="big_result.py")
async def test_a_result_that_fits_into_no_answer_fails_its_attempt_and_the_child_is_kept(tmp_path):
    async with rig(command("big_result"), folder=tmp_path) as daemon:
        pid = daemon.slot.child.pid
        job = await daemon.run({"bytes": 15_000_000})
        assert (job.state, job.error.cause, job.error.retry) == (State.FAILED, Cause.OVERSIZE, False)
        assert "put it into a file" in job.error.message
        assert daemon.slot.child.pid == pid


@pytest.mark.provokes("result over max_result", "max_result", program="big_result.py")
async def test_a_result_over_the_queues_limit_fails_the_job_which_is_not_repeated_and_the_child_is_kept(tmp_path):
    queue = QueueConfig(name="q", max_attempts=3, max_result=1002)
    async with rig(command("big_result"), folder=tmp_path, queue=queue) as daemon:
        pid = daemon.slot.child.pid
        assert (await daemon.run({"bytes": 1000})).state is State.DONE
        job = await daemon.run({"bytes": 1001})
        assert (job.state, job.attempt, job.charged, job.error.cause) == (State.FAILED, 1, 1, Cause.OVERSIZE)
        assert "the job ran, but its result has 1003 bytes" in job.error.message
        assert daemon.slot.child.pid == pid


@pytest.mark.parametrize("flood", ['echo \'{"status":"progress","progress":0.5}\'', "echo flood >&2"])
async def test_a_flood_of_one_pool_does_not_stall_another(tmp_path, flood):
    """Unbounded, each of these jobs waited about a second; the time allowed is half of that."""
    endless = pool_config(["sh", "-c", f"read -r line; while :; do {flood}; done"], tmp_path, name="p")
    calm = pool_config(command("echo"), tmp_path, name="calm", queues=("calm",))
    async with rig(folder=tmp_path, pools=[endless, calm]) as daemon:
        await daemon.run(None, queue="calm")
        await daemon.submit(None)
        await daemon.until(lambda: daemon.slot.run is not None)
        with trio.fail_after(15):
            for _ in range(30):
                await daemon.run(None, queue="calm")
        daemon.slot.life.cancel(daemon.slot.run)
