"""What loads, and what it becomes."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.config import machine
from supervisor.config.load import load, load_socket
from supervisor.config.model import NANOS, Backoff, Config, DaemonConfig, PoolConfig, QueueConfig, Rate, StoreConfig
from supervisor.errors import ConfigError

Loaded = Callable[[str], Config]
MINIMAL = '[pools.x]\ncommand = ["sh"]\n'


def test_a_pool_with_a_command_is_a_whole_configuration(loaded: Loaded, tmp_path: Path) -> None:
    assert loaded(MINIMAL) == Config(
        source=tmp_path / "stoker.toml",
        daemon=DaemonConfig(socket=Path("/run/stoker.sock"), state_dir=Path("/var/lib/stoker")),
        store=StoreConfig(),
        pools=(PoolConfig(name="x", command=("sh",), queues=("x",), cwd=tmp_path),),
        queues=(QueueConfig(name="x"),),
    )


def test_every_key_arrives(loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpus", lambda: frozenset(range(8)))
    (tmp_path / "work").mkdir()
    (tmp_path / "secrets.env").write_text("TOKEN=hunter2\n")
    (tmp_path / "work/more.env").write_text("")
    config = loaded("""
        [daemon]
        socket = "run/s.sock"
        socket_mode = "0660"
        state_dir = "~/state"
        drain_timeout = "1m30s"
        cgroup = "off"
        log_level = "debug"
        log_format = "json"
        max_connections = 10
        max_outstanding = 5
        max_line = "32MB"
        max_jobs = 7
        [store]
        url = "sqlite:jobs.db"
        events_max_age = "1d"
        events_max_count = 5000
        [pools."a.b:c"]
        command = ["sh", "-c", ""]
        min = 4
        max = 6
        queues = ["one", "two"]
        grow_after = "2s"
        shrink_after = "5m"
        channel = "fd"
        ready = true
        require_id = true
        cwd = "work"
        env = {LANG = "C", EMPTY = ""}
        env_file = ["secrets.env", "work/more.env"]
        clear_env = true
        user = "root"
        group = 0
        nice = 19
        umask = "0027"
        cpu_affinity = ["0-1,4", "2"]
        max_jobs = 1000
        max_age = "1h"
        max_idle = "10m"
        max_rss = "100MiB"
        recycle_jitter = 0.5
        memory_limit = "200MiB"
        timeout = 0.5
        boot_timeout = "5s"
        kill_grace = 0
        max_line = 4096
        [pools."a.b:c".rlimits]
        nofile = 100
        core = "1KiB"
        cpu = "unlimited"
        [queues.one]
        max_attempts = 1
        max_crashes = 2
        rate = "90/m"
        burst = 7
        concurrency = 5
        rate_per_key = "10/s"
        burst_per_key = 3
        concurrency_per_key = 2
        max_payload = "2MiB"
        events = false
        backoff = {base = "1s", factor = 3, cap = "1h", jitter = 0}
        """)
    assert config == Config(
        source=tmp_path / "stoker.toml",
        daemon=DaemonConfig(
            socket=tmp_path / "run/s.sock",
            socket_mode=0o660,
            state_dir=Path("/home/someone/state"),
            cgroup="off",
            drain_timeout=90.0,
            log_level="debug",
            log_format="json",
            max_connections=10,
            max_outstanding=5,
            max_line=32_000_000,
            max_jobs=7,
        ),
        store=StoreConfig(url="sqlite:jobs.db", events_max_age=86400.0, events_max_count=5000),
        pools=(
            PoolConfig(
                name="a.b:c",
                command=("sh", "-c", ""),
                min=4,
                max=6,
                queues=("one", "two"),
                grow_after=2.0,
                shrink_after=300.0,
                channel="fd",
                ready=True,
                require_id=True,
                cwd=tmp_path / "work",
                env_files=(tmp_path / "secrets.env", tmp_path / "work/more.env"),
                clear_env=True,
                user="root",
                group="0",
                nice=19,
                umask=0o027,
                rlimits=(("nofile", 100), ("core", 1024), ("cpu", None)),
                cpu_affinity=(frozenset({0, 1, 4}), frozenset({2})),
                max_jobs=1000,
                max_age=3600.0,
                max_idle=600.0,
                max_rss=100 * 1024 * 1024,
                recycle_jitter=0.5,
                memory_limit=200 * 1024 * 1024,
                env=(("LANG", "C"), ("EMPTY", "")),
                timeout=0.5,
                boot_timeout=5.0,
                kill_grace=0.0,
                max_line=4096,
            ),
        ),
        queues=(
            QueueConfig(
                name="one",
                max_attempts=1,
                max_crashes=2,
                rate=Rate(count=90, period=60 * NANOS),
                burst=7,
                concurrency=5,
                rate_per_key=Rate(count=10, period=NANOS),
                burst_per_key=3,
                concurrency_per_key=2,
                max_payload=2 * 1024 * 1024,
                events=False,
                backoff=Backoff(base=1.0, factor=3.0, cap=3600.0, jitter=0.0),
            ),
            QueueConfig(name="two"),
        ),
    )


def test_durations_are_floats_however_they_are_written(loaded: Loaded) -> None:
    pool = loaded(MINIMAL + "timeout = 30\nboot_timeout = 2\nkill_grace = 1.5").pools[0]
    assert (pool.timeout, pool.boot_timeout, pool.kill_grace) == (30.0, 2.0, 1.5)
    assert {type(value) for value in (pool.timeout, pool.boot_timeout, pool.kill_grace)} == {float}


def test_a_queue_that_no_pool_serves_is_known(loaded: Loaded) -> None:
    config = loaded(MINIMAL + "[queues.later]\nmax_attempts = 1")
    assert {queue.name for queue in config.queues} == {"x", "later"}
    assert config.queue("later") == QueueConfig(name="later", max_attempts=1)


def test_a_backoff_may_be_a_list_of_delays(loaded: Loaded) -> None:
    listed = Backoff(delays=(1.0, 10.0, 60.0))
    assert listed.jitter == 0.2
    for text, backoff in {
        'backoff = ["1s", 10, "1m"]': listed,
        'backoff = { delays = ["1s", 10, "1m"] }': listed,
        "backoff = { delays = [0], jitter = 0 }": Backoff(delays=(0.0,), jitter=0.0),
        "backoff = {}": Backoff(),
    }.items():
        assert loaded(f"[queues.x]\n{text}\n{MINIMAL}").queue("x") == QueueConfig(name="x", backoff=backoff)


def test_a_queue_says_what_becomes_of_its_jobs_when_the_daemon_dies(loaded: Loaded) -> None:
    assert QueueConfig(name="x").on_daemon_crash == "retry"
    for word in ("retry", "fail"):
        config = loaded(f'[queues.x]\non_daemon_crash = "{word}"\n{MINIMAL}')
        assert config.queue("x") == QueueConfig(name="x", on_daemon_crash=word)  # type: ignore[arg-type]


def test_two_pools_may_serve_one_queue(loaded: Loaded) -> None:
    config = loaded('[pools.a]\ncommand=["sh"]\nqueues=["q"]\n[pools.b]\ncommand=["sh"]\nqueues=["q"]')
    assert [pool.queues for pool in config.pools] == [("q",), ("q",)]
    assert [queue.name for queue in config.queues] == ["q"]


def test_a_relative_configuration_path_gives_absolute_places(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(MINIMAL)
    monkeypatch.chdir(tmp_path)
    config = load(Path("stoker.toml"), environ={"PATH": "/bin"}, is_root=True)
    assert config.source == tmp_path / "stoker.toml"
    assert config.pools[0].cwd == tmp_path


def test_the_socket_alone_is_found_in_a_file_that_does_not_load_here(tmp_path: Path) -> None:
    file = tmp_path / "stoker.toml"
    file.write_text('[daemon]\nsocket = "s.sock"\nmax_jobs = 0\n[pools.x]\ncommand = ["not-on-this-machine"]\n')
    assert load_socket(file, environ={}, is_root=False) == tmp_path / "s.sock"


def test_the_socket_alone_has_the_same_default(tmp_path: Path) -> None:
    file = tmp_path / "stoker.toml"
    file.write_text(MINIMAL)
    assert load_socket(file, environ={"XDG_RUNTIME_DIR": "/run/user/7"}, is_root=False) == Path(
        "/run/user/7/stoker.sock"
    )


def test_the_socket_alone_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "stoker.toml"
    file.write_text("[daemon]\nsocket = 3\n")
    with pytest.raises(ConfigError, match=r"daemon\.socket: found 3, expected a path"):
        load_socket(file, environ={}, is_root=True)


def imported_by(module: str) -> set[str]:
    script = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_loading_imports_nothing_heavy() -> None:
    heavy = {"trio", "structlog", "apsw", "rich", "click", "asyncio", "difflib", "socket"}
    assert not heavy & imported_by("supervisor.config.load")


def test_a_client_that_asks_for_its_socket_waits_for_no_msgspec() -> None:
    assert "msgspec" not in imported_by("supervisor.config.places")
