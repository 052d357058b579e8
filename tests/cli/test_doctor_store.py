"""stoker doctor, of a store and its files: each line made to say what it can say."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import apsw
import pytest

from supervisor.cli import configuration, probes_process, probes_store, probes_systemd
from supervisor.store.sqlite import SqliteStore, inspecting, open_sqlite
from tests.cli.conftest import Run
from tests.cli.samples import status
from tests.cli.scripted import ScriptedDaemon
from tests.store.support import add

CONFIG = """
[daemon]
socket = "s"
state_dir = "state"
disk_reserve = "1MiB"
[pools.thumbs]
command = ["./worker"]
env_file = "secrets"
"""


@pytest.fixture(autouse=True)
def configured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "SYSTEM_CONFIG", folder / "etc" / "stoker.toml")
    monkeypatch.setattr(probes_systemd, "BOOTED", folder / "no systemd")
    Path("stoker.toml").write_text(CONFIG)
    Path("worker").write_text("#!/bin/sh\ncat\n")
    Path("worker").chmod(0o755)
    Path("secrets").touch(0o600)


@pytest.fixture
def store(folder: Path) -> Iterator[SqliteStore]:
    made = open_sqlite(folder / "state" / "stoker.db")
    yield made
    made.close()


@pytest.fixture
def database(store: SqliteStore, folder: Path) -> Path:
    """Of a daemon that was stopped, with some jobs."""
    for _ in range(50):
        add(store)
    store.close()
    return folder / "state" / "stoker.db"


def findings(stoker: Run, *options: str) -> list[tuple[str, str, str, str]]:
    answer: dict[str, Any] = json.loads(stoker("doctor", "--json", *options).stdout)
    assert all(check["remedy"] or check["level"] == "ok" for check in answer["checks"])
    return [(one["check"], one["level"], one["found"], one["remedy"]) for one in answer["checks"]]


def of(stoker: Run, check: str, *options: str) -> list[tuple[str, str, str]]:
    return [rest for name, *rest in findings(stoker, *options) if name == check]  # type: ignore[misc]


def test_a_whole_store_is_ok_with_its_figures(stoker: Run, database: Path) -> None:
    [[level, found, _]] = of(stoker, "store")
    assert level == "ok"
    assert found.startswith("50 jobs, ")
    assert "whole (SQLite 3." in found
    assert {name.name for name in database.parent.iterdir()} == {"stoker.db", "stoker.db.lock"}


def test_the_store_of_a_daemon_at_work_is_looked_at_too(stoker: Run, store: SqliteStore) -> None:
    add(store)
    [[level, found, _]] = of(stoker, "store")
    assert (level, found[:6]) == ("ok", "1 job,")
    add(store)  # and was not kept from it


def test_a_store_that_is_damaged_fails(stoker: Run, database: Path) -> None:
    with database.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(os.urandom(4096))
    [[level, found, remedy]] = of(stoker, "store")
    assert (level, "is damaged" in found, "stoker restore" in remedy) == ("fail", True, True)
    assert stoker("doctor").exit_code == 1


def test_what_is_no_store_and_what_a_newer_stoker_wrote_fails(stoker: Run, database: Path) -> None:
    connection = apsw.Connection(str(database))
    connection.pragma("user_version", 99)
    connection.close()
    assert "written by a newer stoker" in of(stoker, "store")[0][1]
    database.write_text("notes")
    assert of(stoker, "store")[0][0] == "fail"


def test_a_large_store_is_looked_at_for_a_moment_only_unless_asked_for_more(
    stoker: Run, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspecting, "GLANCE_SECS", -1.0)
    monkeypatch.setattr(inspecting, "_ASK_EVERY", 1)
    assert "--deep reads all of it" in of(stoker, "store")[0][1]
    assert "whole (" in of(stoker, "store", "--deep")[0][1]


def test_a_log_that_has_grown_is_a_warning(stoker: Run, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes_store, "LARGE_LOG", 1024 * 1024)
    add(store)
    assert [level for level, *_ in of(stoker, "store")] == ["ok", "warn"]


def test_jobs_of_the_future_mean_that_the_clock_is_wrong(stoker: Run, store: SqliteStore) -> None:
    add(store, created_at=time.time_ns() // 1000 + 3600 * 10**6)
    [[level, found, _]] = of(stoker, "clock")
    assert level == "warn"
    assert "3600 s from now" in found or "3599 s from now" in found


def test_less_than_the_reserve_fails_and_less_than_a_backup_is_a_warning(
    stoker: Run, database: Path, folder: Path
) -> None:
    assert of(stoker, "space")[0][0] == "ok"
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    os.truncate(database, free * 2)  # a hole: no space is taken, and others may free some meanwhile
    assert of(stoker, "space")[0][0] == "warn"
    Path("stoker.toml").write_text(CONFIG.replace('"1MiB"', f'"{free * 4}B"'))
    [[level, found, _]] = of(stoker, "space")
    assert (level, "submits are refused" in found) == ("fail", True)


def test_a_file_system_without_inodes_fails(stoker: Run, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes_store, "FEW_INODES", 2**63)
    if not os.statvfs(database).f_files:
        pytest.skip("this file system does not count inodes")
    assert "inodes are left" in of(stoker, "space")[0][1]


def test_what_others_can_read_is_a_warning_and_what_they_can_write_a_failure(stoker: Run, database: Path) -> None:
    assert of(stoker, "permissions")[0][0] == "ok"
    Path("secrets").chmod(0o644)
    database.chmod(0o604)
    told = of(stoker, "permissions")
    assert [level for level, *_ in told] == ["warn", "warn"]
    assert {remedy.split()[0] for *_, remedy in told} == {"chmod"}
    for _, _, remedy in told:
        subprocess.run(remedy.split(), check=True)
    assert of(stoker, "permissions")[0][0] == "ok"
    database.parent.chmod(0o777)
    assert [level for level, *_ in of(stoker, "permissions")] == ["fail"]


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@as_root
def test_what_the_daemons_user_cannot_use_fails(stoker: Run, database: Path, folder: Path) -> None:
    """As root looks at the state directory of another user."""
    nobody = 65534
    folder.chmod(0o755)
    for path in (database.parent, *database.parent.iterdir(), Path("secrets")):
        os.chown(path, nobody, nobody)
    Path("stoker.toml").chmod(0o644)
    assert of(stoker, "permissions")[0][0] == "ok"
    os.chown(database, 0, 0)
    Path("secrets").chmod(0o600)
    os.chown("secrets", 0, 0)
    Path("worker").chmod(0o700)
    Path("stoker.toml").chmod(0o600)
    told = [found for _, found, _ in of(stoker, "permissions")]
    assert len(told) == 4
    for part in ("stoker.db is user root's", "cannot read", "cannot execute", "an env_file of thumbs"):
        assert any(part in found for found in told)


def test_a_daemon_that_has_the_store_and_does_not_answer_here_fails(stoker: Run, store: SqliteStore) -> None:
    [[level, found, _]] = of(stoker, "daemon")
    assert (level, found) == (
        "fail",
        f"process {os.getpid()} has the store open, and no daemon answers at this socket",
    )
    store.close()
    assert of(stoker, "daemon") == []


def test_two_daemons_fail(stoker: Run, store: SqliteStore, daemon: ScriptedDaemon) -> None:
    daemon.path.chmod(0o600)
    daemon.on("ping", {"version": version("stoker"), "protocol": 1})
    daemon.on("status", status(pid=1))
    assert [level for level, *_ in of(stoker, "daemon")] == ["ok", "fail"]
    daemon.on("status", status(pid=os.getpid()))
    assert [level for level, *_ in of(stoker, "daemon")] == ["ok"]


def test_no_configuration_at_all_leaves_the_rest(stoker: Run) -> None:
    Path("stoker.toml").unlink()
    names = {name for name, *_ in findings(stoker)}
    assert {"python", "configuration", "systemd", "socket"} <= names
    assert "store" not in names


# -- the daemon's process --------------------------------------------------------------------------------------------

LIMITS = "Limit                     Soft Limit           Hard Limit           Units     \n"


@pytest.mark.parametrize(("hard", "level"), [("1024", "warn"), ("65536", "ok")])
def test_few_open_files_are_a_warning(hard: str, level: str) -> None:
    text = f"{LIMITS}Max open files            {hard}                 {hard}                files     \n"
    assert [finding.level for finding in probes_process._files(text)] == [level]


def test_a_clock_that_was_set_since_the_start_is_a_warning() -> None:
    [found] = probes_process._clock({"started_at": "2020-01-01T00:00:00Z", "uptime_secs": 10.0})
    assert (found.level, "set forward" in found.found) == ("warn", True)
    [found] = probes_process._clock({"started_at": "2999-01-01T00:00:00Z", "uptime_secs": 10.0})
    assert (found.level, "set back" in found.found) == ("warn", True)


def test_the_daemons_cgroup_is_judged_by_what_it_may_do_with_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes_process, "CGROUPS", folder)
    here = folder / "system.slice" / "stoker.service"
    here.mkdir(parents=True)
    assert probes_process._cgroup("1:cpu:/\n").level == "warn"
    assert "no part of the tree" in probes_process._cgroup("0::/system.slice/stoker.service\n").found
    own = "0::/system.slice/stoker.service/daemon\n"
    (here / "cgroup.subtree_control").write_text("pids\n")
    assert "no memory controller" in probes_process._cgroup(own).found
    (here / "cgroup.subtree_control").write_text("memory pids\n")
    found = probes_process._cgroup(own)
    assert (found.level, found.found) == ("ok", "delegated: /system.slice/stoker.service, with memory pids")
