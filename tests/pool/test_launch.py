"""A worker gets exactly what its pool's configuration says, from its first instruction on."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from supervisor.pool import settings
from supervisor.pool.cgroups import Cgroup
from supervisor.pool.gate import gated
from tests.pool.launched import PYTHON, launched, seen, status_of, until
from tests.pool.rig import pool_config, python, rig
from tests.workers import command

LIMITS = "import json, resource; print(json.dumps([resource.getrlimit(resource.RLIMIT_{}), 0]))"


def limits_of(text: str) -> dict[str, tuple[str, str]]:
    """/proc/PID/limits: soft and hard by name."""
    rows = (re.split(r"  +", line.strip()) for line in text.splitlines()[1:])
    return {name: (soft, hard) for name, soft, hard, *_ in rows}


def process_state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


# -- one setting after another -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [("nofile", 100), ("core", 0), ("fsize", 1024 * 1024), ("as", 2 * 1024**3), ("nproc", 1000)],
)
@pytest.mark.provokes("rlimits")
def test_a_limit_is_set_soft_and_hard(tmp_path: Path, name: str, value: int) -> None:
    program = LIMITS.format(name.upper())
    assert seen(program, tmp_path, rlimits=((name, value),))[0] == [value, value]


def test_processor_time_has_a_second_between_the_signal_that_names_it_and_the_kill(tmp_path: Path) -> None:
    program = LIMITS.format("CPU")
    assert seen(program, tmp_path, rlimits=(("cpu", 77),))[0] == [77, 78]
    assert seen(program, tmp_path, rlimits=(("cpu", None),))[0] == [resource.RLIM_INFINITY] * 2


def test_all_the_processor_time_that_the_daemon_may_give_is_no_more_than_that(tmp_path: Path) -> None:
    """Only root could give the second as well."""
    script = (
        "import resource, sys; from pathlib import Path; from tests.pool.launched import seen\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (500, 500))\n"
        f"print(seen({LIMITS.format('CPU')!r}, Path(sys.argv[1]), rlimits=(('cpu', 500),))[0])"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[500, 500]\n", "")


def test_a_worker_over_its_processor_time_ends_by_a_signal_that_says_so(tmp_path: Path) -> None:
    with launched([*PYTHON, "while True: pass"], tmp_path, rlimits=(("cpu", 1), ("core", 0))) as worker:
        assert worker.status() == -signal.SIGXCPU


def test_a_limit_can_be_none(tmp_path: Path) -> None:
    program = LIMITS.format("CORE")
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    assert hard == resource.RLIM_INFINITY or os.geteuid() == 0, "a hard limit can only be raised by root"
    assert seen(program, tmp_path, rlimits=(("core", None),))[0] == [resource.RLIM_INFINITY] * 2
    assert seen(program, tmp_path)[0] == [soft, hard]


def test_the_descriptors_are_limited_as_the_daemon_was_before_it_raised_its_own(tmp_path: Path) -> None:
    given = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (given[0] - 1, given[1]))
    try:
        assert seen(LIMITS.format("NOFILE"), tmp_path)[0] == list(given) == list(settings._NOFILE)
        assert seen(LIMITS.format("NOFILE"), tmp_path, rlimits=(("nofile", 64),))[0] == [64, 64]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, given)


def test_a_daemon_that_the_kernel_is_to_end_early_hands_that_on_to_its_workers(tmp_path: Path) -> None:
    """The other way round, tests/systemd/with_memory_max.py has it: that takes a power that root may not have."""
    own = Path("/proc/self/oom_score_adj")
    score = max(int(own.read_text()), 0)
    own.write_text(str(score + 1))
    try:
        assert seen("print(open('/proc/self/oom_score_adj').read())", tmp_path) == score + 1
    finally:
        own.write_text(str(score))


@pytest.mark.provokes("nice")
def test_niceness_counts_also_against_other_sessions(tmp_path: Path) -> None:
    """Where sched_autogroup is on, a process' own niceness means nothing outside its session."""
    program = "\n".join(
        [
            "import json, os",
            "group = os.path.exists('/proc/self/autogroup') and open('/proc/self/autogroup').read().split()[-1]",
            "print(json.dumps([os.nice(0), group]))",
        ]
    )
    for niceness in (None, 7):
        own, group = seen(program, tmp_path, nice=niceness)
        assert own == (os.nice(0) if niceness is None else niceness)
        assert group in (False, str(niceness or 0))


@pytest.mark.provokes("umask")
def test_the_umask_is_the_pools(tmp_path: Path) -> None:
    program = "import os; print(os.umask(0))"
    ours = os.umask(0o22)
    try:
        assert seen(program, tmp_path, umask=0o027) == 0o027
        assert seen(program, tmp_path, umask=0) == 0
        assert seen(program, tmp_path) == 0o22
    finally:
        os.umask(ours)


@pytest.mark.provokes("cpu_affinity")
def test_slots_take_turns_on_the_cpus(tmp_path: Path) -> None:
    """The last entry names a CPU that no machine has: the kernel leaves it out."""
    first, *others = sorted(os.sched_getaffinity(0))
    last = others[-1] if others else first
    entries = (frozenset({first}), frozenset({last}), frozenset({first, 1000}))
    program = "import json, os; print(json.dumps(sorted(os.sched_getaffinity(0))))"
    where = [seen(program, tmp_path, cpu_affinity=entries, slot=slot) for slot in range(5)]
    assert where == [[first], [last], [first], [first], [last]]
    assert seen(program, tmp_path) == sorted(os.sched_getaffinity(0))


def test_a_worker_starts_in_its_folder_and_is_told_so(tmp_path: Path) -> None:
    folder = tmp_path / "ü folder"
    folder.mkdir()
    program = "import json, os; print(json.dumps([os.getcwd(), os.environ['PWD']]))"
    environ = {**os.environ, "PWD": "/where/the/daemon/was/started"}
    assert seen(program, folder, environ=environ) == [str(folder), str(folder)]


def test_a_worker_leads_a_session_of_its_own_with_default_signals(tmp_path: Path) -> None:
    with launched(["cat", "/proc/self/stat", "/proc/self/status"], tmp_path) as worker:
        stat, status = worker.rest().split("\n", 1)
        parent, group, session = map(int, stat.rpartition(")")[2].split()[1:4])
        assert (parent, group, session) == (os.getpid(), worker.child.pid, worker.child.pid)
        words = status_of(status)
        # But for 32 and 33, which are the C library's own: whoever started the tests may have left them ignored.
        sets = (int(words[name], 16) & ~(0b11 << 31) for name in ("SigIgn", "SigBlk", "SigPnd", "ShdPnd"))
        assert [*sets] == [0, 0, 0, 0]


@pytest.mark.parametrize("argument", ["", "a b", "$HOME", "`id`", "'", '"', "\\", "*", "-n", "ü", "line\nline", "${X}"])
@pytest.mark.parametrize("environ", [{}, {"odd.name": "x"}], ids=["plain", "carried"])
def test_arguments_are_handed_on_untouched(tmp_path: Path, argument: str, environ: dict[str, str]) -> None:
    command = ["printf", "%s|", argument, "--", argument]
    with launched(command, tmp_path, environ={**os.environ, **environ}) as worker:
        assert worker.rest() == f"{argument}|--|{argument}|"


# -- the gate ----------------------------------------------------------------------------------------------------------


def test_the_program_does_not_begin_before_everything_is_set(tmp_path: Path) -> None:
    waiting: list[tuple[int, str]] = []

    def look(pid: int) -> None:
        # Wherever it is going without us, it goes: until it sleeps.
        until(lambda: process_state(pid) == "S", "the worker to wait at its gate")
        waiting.append((pid, os.path.basename(os.readlink(f"/proc/{pid}/exe"))))

    with launched(["touch", "begun"], tmp_path, at_gate=look) as worker:
        assert waiting == [(worker.child.pid, os.path.basename(os.path.realpath("/bin/sh")))]
        assert worker.status() == 0
        assert (tmp_path / "begun").exists()


@pytest.mark.parametrize(
    ("channel", "nofile"),
    [("stdio", 6), *((channel, nofile) for channel in ("stdio", "fd") for nofile in (15, 16, 1000))],
)
def test_a_worker_is_in_its_cgroup_at_the_first_instruction(
    tmp_path: Path, cgroup_folder: Path, channel: str, nofile: int
) -> None:
    cgroup = Cgroup(cgroup_folder)
    look = "open('/proc/self/cgroup').read() + ' '.join(os.listdir('/proc/self/fd'))"
    program = f"import os; os.write(2, ({look}).encode())"
    command = [*PYTHON, program]
    settings: dict[str, Any] = {"channel": channel, "rlimits": (("nofile", nofile), ("fsize", 0))}
    with launched(command, tmp_path, cgroup=cgroup, **settings) as worker:
        assert worker.child.cgroup is cgroup
        said = worker.rest("stderr").split()
    with launched(command, tmp_path, **settings) as worker:
        other = worker.rest("stderr").split()
    [place] = [line for line in said if line.startswith("0::")]
    assert place.rpartition("/")[2] == cgroup_folder.name
    assert [one for one in said if one.isdigit()] == [one for one in other if one.isdigit()]


def test_everything_holds_at_the_first_instruction(tmp_path: Path) -> None:
    """cat is the program itself: nothing of it runs before it reads what it was given."""
    cpu = min(os.sched_getaffinity(0))
    for _ in range(50):
        with launched(
            ["cat", "/proc/self/limits", "/proc/self/status", "/proc/self/stat"],
            tmp_path,
            rlimits=(("nofile", 77), ("core", 0), ("nproc", 999)),
            nice=3,
            cpu_affinity=(frozenset({cpu}),),
            umask=0o77,
        ) as worker:
            text = worker.rest()
        limits, rest = text.split("Name:", 1)
        found = limits_of(limits)
        assert found["Max open files"] == ("77", "77")
        assert found["Max core file size"] == ("0", "0")
        assert found["Max processes"] == ("999", "999")
        *status, stat = rest.strip().split("\n")
        words = status_of("\n".join(status[1:]))
        assert (words["Cpus_allowed_list"], words["Umask"]) == (str(cpu), "0077")
        assert stat.rpartition(")")[2].split()[16] == "3"


@pytest.mark.parametrize("channel", ["stdio", "fd"])
def test_a_daemon_that_dies_meanwhile_takes_what_waits_with_it(tmp_path: Path, channel: str) -> None:
    argv, env = gated(pool_config(["touch", "begun"], tmp_path, channel=channel), dict(os.environ), None)
    assert subprocess.run(argv, env=env, cwd=tmp_path, stdin=subprocess.DEVNULL, timeout=20).returncode != 0
    assert not (tmp_path / "begun").exists()


def test_a_request_written_before_the_gate_has_been_passed_is_unread_and_whole(tmp_path: Path) -> None:
    """The program is stopped at the gate, in the state the daemon leaves it in: what opens it is written already."""

    def stop(pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        until(lambda: process_state(pid) == "T", "it to be stopped")

    request = "x" * 100
    with launched(["head", "-n", "1"], tmp_path, at_gate=stop) as worker:
        worker.say(request)
        assert worker.child.unread() == len(request) + 2  # and what opens the gate
        assert process_state(worker.child.pid) == "T"
        os.kill(worker.child.pid, signal.SIGCONT)
        assert worker.line() == request
        assert worker.child.unread() == 0


def test_a_program_that_reads_nothing_leaves_the_whole_request_unread(tmp_path: Path) -> None:
    with launched(["sh", "-c", "echo begun; exec sleep 300"], tmp_path) as worker:
        request = "x" * 100
        worker.say(request)
        assert worker.line() == "begun"
        assert worker.child.unread() == len(request) + 1


def test_of_a_request_that_is_read_by_a_byte_less_is_left(tmp_path: Path) -> None:
    with launched(["sh", "-c", "dd bs=1 count=1 status=none; echo; exec sleep 300"], tmp_path) as worker:
        worker.say("request")
        assert worker.line() == "r"
        assert worker.child.unread() == len("request\n") - 1


# -- what the pool says of it ------------------------------------------------------------------------------------------


@pytest.mark.provokes("rlimits", "nice", "umask", "cpu_affinity", program="surroundings.py")
async def test_a_worker_of_a_pool_is_in_the_surroundings_it_was_to_be_in(tmp_path: Path) -> None:
    cpu = max(os.sched_getaffinity(0))
    given = {"umask": 0o027, "nice": 5, "cpu_affinity": (frozenset({cpu}),), "rlimits": (("nofile", 99), ("core", 0))}
    async with rig(command("surroundings"), folder=tmp_path, **given) as daemon:
        found = json.loads((await daemon.run(None)).result)
        assert found["pid"] == daemon.slot.child.pid
    assert (found["umask"], found["nice"], found["cpus"]) == (0o027, 5, [cpu])
    assert (found["limits"]["nofile"], found["limits"]["core"]) == ([99, 99], [0, 0])


async def test_what_only_the_start_itself_can_tell_is_in_the_pools_reason(tmp_path: Path) -> None:
    """Here: an interpreter that is a script itself, whose own is not there."""
    program, between = tmp_path / "worker", tmp_path / "between"
    program.write_text(f"#!{between}\n")
    between.write_text("#!/no/such/interpreter\n")
    for file in (program, between):
        file.chmod(0o755)
    async with rig([str(program)], folder=tmp_path) as daemon:
        await daemon.until(lambda: daemon.pools[0].state == "degraded")
        reason = daemon.pools[0].health.reason
    assert "exited with code 127" in reason
    assert f"{program}: No such file or directory" in reason


async def test_a_pool_that_cannot_apply_a_setting_is_degraded_and_says_which(tmp_path: Path) -> None:
    async with rig(python("input()"), folder=tmp_path, rlimits=(("nofile", 2**40),)) as daemon:
        assert daemon.pools[0].state == "degraded"
        assert "rlimits.nofile" in daemon.pools[0].health.reason
