"""More that workers do, each by its program: to their group, their children, their limits, and with floods and ids."""

import json
from pathlib import Path

import pytest

from supervisor.config.model import Backoff, QueueConfig
from supervisor.core.job import Cause, State
from supervisor.pool import procfs
from tests.pool.rig import rig
from tests.workers import command

ONCE = QueueConfig(name="q", max_attempts=1, backoff=Backoff(base=0.01))
TAIL = 4096  # bytes of stderr that an attempt's error keeps, says protocol/README.md


@pytest.mark.provokes("id dropped", program="desync.py")
async def test_a_worker_that_has_sent_an_id_once_must_go_on(tmp_path: Path) -> None:
    async with rig(command("desync"), folder=tmp_path) as daemon:
        assert (await daemon.run({"as": None})).state is State.DONE  # it need not begin
        pid = daemon.slot.child.pid
        assert (await daemon.run(None)).state is State.DONE
        job = await daemon.run({"as": None})
        assert (job.state, job.charged, job.error.cause) == (State.FAILED, 1, Cause.GARBAGE)
        assert "though it had sent ids before" in job.error.message
        assert job.attempts[0].pid == pid
        assert (await daemon.run({"as": None})).state is State.DONE  # that one is new


@pytest.mark.provokes("stderr tail", program="stderr_then_exit.py")
async def test_the_error_of_an_attempt_has_the_last_4_kib_of_stderr_in_whole_lines(tmp_path: Path) -> None:
    async with rig(command("stderr_then_exit"), folder=tmp_path) as daemon:
        few = [f"line {number:03} {'.' * 90}" for number in range(40)]
        assert len("\n".join(few)) < TAIL
        assert (await daemon.run({"lines": few})).error.stderr == "\n".join(few)
        many = [f"line {number:03} {'.' * 90}" for number in range(200)]
        kept = (await daemon.run({"lines": many})).error.stderr
        assert kept.split("\n") == many[-(TAIL // 100) :]


@pytest.mark.provokes("stderr tail", "stderr line", program="binary_stderr.py")
async def test_bytes_on_stderr_that_are_no_text_harm_neither_the_reply_nor_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with rig(command("binary_stderr"), folder=tmp_path) as daemon:
        pid = daemon.slot.child.pid
        assert (await daemon.run({})).state is State.DONE
        assert (await daemon.run({"hex": b"fine \xff\n".hex()})).state is State.DONE
        assert daemon.slot.child.pid == pid
    assert "fine \ufffd" in capsys.readouterr().out


@pytest.mark.provokes("no reply", "timeout", program="flood_stdout.py")
async def test_a_flood_of_progress_is_no_reply(tmp_path: Path) -> None:
    async with rig(command("flood_stdout"), folder=tmp_path, timeout=0.3) as daemon:
        assert (await daemon.run({"bytes": 1_000_000})).state is State.DONE
        job = await daemon.run({"endless": True})
        assert (job.state, job.error.cause) == (State.FAILED, Cause.TIMEOUT)
        assert (await daemon.run(None)).state is State.DONE


@pytest.mark.provokes("garbage", program="flood_stdout.py")
async def test_a_flood_of_lines_that_are_no_replies_ends_with_the_first(tmp_path: Path) -> None:
    async with rig(command("flood_stdout"), folder=tmp_path) as daemon:
        job = await daemon.run({"endless": True, "line": "epoch 1 of 10"})
        assert (job.state, job.error.cause) == (State.FAILED, Cause.GARBAGE)
        assert "epoch 1 of 10" in job.error.message


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGTERM"])
@pytest.mark.provokes("exited", program="kills_group.py")
async def test_a_worker_that_kills_its_process_group_reaches_nobody_else(tmp_path: Path, signal: str) -> None:
    async with rig(command("kills_group"), folder=tmp_path, size=2) as daemon:
        bystanders = {slot.child.pid for slot in daemon.pools[0].slots}
        job = await daemon.run({"signal": signal})
        assert (job.state, job.error.cause, job.error.signal) == (State.FAILED, Cause.EXITED, signal)
        [dead] = {one.pid for one in job.attempts}
        assert bystanders - {dead} <= {slot.child.pid for slot in daemon.pools[0].slots if slot.child is not None}
        assert daemon.pools[0].crashes == 1
        assert (await daemon.run(None)).state is State.DONE


@pytest.mark.provokes("grandchildren", "no reply", program="forks_many.py")
async def test_of_a_chain_of_many_deaf_processes_nobody_is_left(tmp_path: Path) -> None:
    mark = f"STOKER_TEST_FILE={tmp_path}".encode()
    env = (("STOKER_TEST_FILE", str(tmp_path)),)
    async with rig(command("forks_many"), folder=tmp_path, env=env) as daemon:
        [job_id] = await daemon.submit({"count": 50, "then": "hang"})
        await daemon.until(lambda: len(family(mark)) == 51)
        await daemon.service.cancel(job_id)
        [job] = await daemon.ends(job_id)
        assert job.state is State.CANCELLED
        await daemon.until(lambda: daemon.service.pools("p")[0].idle == 1)
        assert family(mark) == [daemon.slot.child.pid]


def family(mark: bytes) -> list[int]:
    return [one.pid for one in procfs.all_processes() if procfs.has_environ(one.pid, mark)]


@pytest.mark.provokes("rlimits", program="hits_rlimit.py")
async def test_a_worker_that_runs_into_its_limits_is_told_so_by_the_system(tmp_path: Path) -> None:
    rlimits = (("nofile", 32), ("fsize", 20_000), ("data", 200_000_000))
    async with rig(command("hits_rlimit"), folder=tmp_path, rlimits=rlimits) as daemon:
        said = {}
        for what in ("fsize", "data", "nofile"):  # the last one leaves no descriptor
            job = await daemon.run({"what": what, "folder": str(tmp_path), "most": 1_000_000_000})
            said[what] = json.loads(job.result)["said"]
    assert said == {"nofile": "Too many open files", "fsize": "File too large", "data": "MemoryError"}


@pytest.mark.provokes("rlimits", "exited", program="hits_rlimit.py")
async def test_a_worker_whose_processor_time_is_over_is_an_attempt_that_was_killed(tmp_path: Path) -> None:
    async with rig(command("hits_rlimit"), folder=tmp_path, rlimits=(("cpu", 1),), queue=ONCE) as daemon:
        job = await daemon.run({"what": "cpu"})
        assert (job.state, job.error.cause, job.crashes) == (State.FAILED, Cause.EXITED, 1)
        assert job.error.signal in ("SIGXCPU", "SIGKILL")  # the soft limit is the hard one too


@pytest.mark.provokes("dies at boot", "respawn backoff", program="by_file.py")
async def test_a_release_that_exits_at_boot_is_quoted_and_the_next_one_mends_the_pool(tmp_path: Path) -> None:
    release = tmp_path / "release"
    release.write_text(json.dumps({"exit": 3, "stderr": "no such model"}))
    async with rig(command("by_file", str(release)), folder=tmp_path, ready=True) as daemon:
        await daemon.until(lambda: daemon.pools[0].spawned >= 2)
        reason = daemon.service.pools("p")[0].reason
        assert "exited with code 3" in reason
        assert "no such model" in reason
        mended = tmp_path / "mended"
        mended.write_text(json.dumps({"name": "mended", "ready": True}))
        mended.rename(release)
        assert json.loads((await daemon.run(None)).result)["name"] == "mended"
        assert daemon.service.pools("p")[0].state == "ready"


@pytest.mark.provokes("closed stdin", program="closes_pipes.py")
async def test_a_worker_that_closes_its_stdin_at_boot_costs_no_job_an_attempt(tmp_path: Path) -> None:
    async with rig(command("closes_pipes", "0"), folder=tmp_path) as daemon:
        [job_id] = await daemon.submit("x" * 300_000)
        await daemon.until(lambda: daemon.pools[0].crashes >= 1)
        job = await daemon.service.get(job_id)
        assert (job.state, job.charged, job.crashes) == (State.PENDING, 0, 0)
