"""stoker doctor: each line ok, warn or fail, with the remedy."""

import json
import os
import shutil
from collections import namedtuple
from importlib import metadata
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from supervisor.cli import configuration, probes, probes_systemd
from tests.cli.conftest import Run
from tests.cli.samples import pool, status
from tests.cli.scripted import ScriptedDaemon, Silence

CONFIG = """
[daemon]
socket = "s"
state_dir = "state"
[pools.thumbs]
command = ["cat"]
"""


@pytest.fixture(autouse=True)
def configured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "SYSTEM_CONFIG", folder / "etc" / "stoker.toml")
    monkeypatch.setattr(probes_systemd, "BOOTED", folder / "no systemd")
    Path("stoker.toml").write_text(CONFIG)


@pytest.fixture
def healthy(daemon: ScriptedDaemon) -> ScriptedDaemon:
    daemon.path.chmod(0o600)
    daemon.on("ping", {"version": version("stoker"), "protocol": 1})
    daemon.on("status", status(pid=None))
    return daemon


def examine(stoker: Run, code: int = 0) -> dict[str, dict[str, str]]:
    result = stoker("doctor", "--json")
    assert result.exit_code == code
    answer: dict[str, Any] = json.loads(result.stdout)
    assert answer["ok"] is (code == 0)
    assert all(check["remedy"] or check["level"] == "ok" for check in answer["checks"])
    return {check["check"]: check for check in answer["checks"]}


def test_where_all_is_well_every_line_is_ok(healthy: ScriptedDaemon, stoker: Run) -> None:
    checks = examine(stoker)
    expected = {"python", "dependencies", "supervisor", "setpriv", "configuration", "state_dir", "permissions", "store"}
    expected |= {"systemd", "socket", "daemon", "clock"}
    assert checks.keys() == expected
    assert {check["level"] for check in checks.values()} == {"ok"}
    assert "trio" in checks["dependencies"]["found"]
    assert "pytest" not in checks["dependencies"]["found"]


def test_a_person_gets_a_line_each_and_the_remedy_below(stoker: Run) -> None:
    lines = stoker("doctor").stdout.splitlines()
    assert lines[0].startswith("ok   python: 3.")
    at = next(place for place, line in enumerate(lines) if line.startswith("warn socket: "))
    assert lines[at + 1] == "     stoker serve"


def test_a_broken_configuration_fails_with_every_problem(stoker: Run) -> None:
    Path("stoker.toml").write_text("[daemon]\nsockt = 1\n")
    result = stoker("doctor")
    assert result.exit_code == 1
    assert result.stdout.count("fail configuration: ") == 2


def test_the_pools_of_a_configuration_are_named_with_their_sizes(stoker: Run) -> None:
    Path("stoker.toml").write_text(CONFIG + 'min = 0\nmax = 8\n[pools.mail]\ncommand = ["cat"]\nsize = 3\n')
    assert examine(stoker)["configuration"]["found"].endswith("/stoker.toml: pools thumbs (0 to 8), mail (3)")


def test_no_configuration_is_a_warning(stoker: Run) -> None:
    Path("stoker.toml").unlink()
    assert examine(stoker)["configuration"]["level"] == "warn"


def test_pypis_supervisor_fails(stoker: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.cli.collision.OTHER", "click")
    assert examine(stoker, 1)["supervisor"]["level"] == "fail"


def test_missing_and_old_dependencies_fail(stoker: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["nosuch-distribution>=1", "click>=999.1", 'also-nosuch; extra == "dev"']
    monkeypatch.setattr(metadata, "requires", lambda _: wanted)
    result = stoker("doctor")
    assert result.exit_code == 1
    assert (
        "fail dependencies: nosuch-distribution is missing\n     pip install 'nosuch-distribution>=1'" in result.stdout
    )
    assert f"fail dependencies: click {version('click')} is too old\n" in result.stdout
    assert "also-nosuch" not in result.stdout


def test_a_machine_without_setpriv_is_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert probes.setpriv().remedy == "install util-linux"


@pytest.mark.parametrize(("free", "level"), [(10 * 1024**2, "fail"), (100 * 1024**2, "warn"), (10 * 1024**3, "ok")])
def test_a_full_disk_fails_before_it_is_full(
    stoker: Run, monkeypatch: pytest.MonkeyPatch, free: int, level: str
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 0, free))
    assert examine(stoker, int(level == "fail"))["state_dir"]["level"] == level


def test_a_state_dir_that_is_a_file_or_not_ours_to_write_is_told(
    folder: Path, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = os.access
    monkeypatch.setattr(os, "access", lambda path, mode, **how: Path(path) != folder and really(path, mode, **how))
    assert "cannot be written" in examine(stoker, 1)["state_dir"]["found"]
    (folder / "state").touch()
    assert "is not a folder" in examine(stoker, 1)["state_dir"]["found"]


def test_a_socket_path_over_the_kernels_limit_fails(stoker: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOKER_SOCKET", "/tmp/" + "x" * 120)
    result = stoker("doctor")
    assert result.exit_code == 1
    assert "has 125 bytes\n     at most 107 are possible" in result.stdout


def test_clients_and_daemon_that_would_miss_each_other_are_warned(
    stoker: Run, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv("STOKER_SOCKET", "/elsewhere/s")
    assert (
        f"warn socket: clients would use /elsewhere/s, and the configuration says {folder}/s\n"
        in stoker("doctor").stdout
    )


def test_a_socket_that_everybody_may_use_is_a_warning(healthy: ScriptedDaemon, stoker: Run) -> None:
    healthy.path.chmod(0o666)
    found = examine(stoker)
    assert "open to every user" in found["socket"]["found"]
    assert found["daemon"]["level"] == "ok"  # and the daemon is asked all the same


def test_a_stranger_does_not_hear_that_another_users_permissions_are_right(
    healthy: ScriptedDaemon, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("state").mkdir(mode=0o755, exist_ok=True)
    stranger = os.geteuid() + 1234
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    found = examine(stoker)["permissions"]
    assert (found["level"], "cannot be tried by" in found["found"]) == ("warn", True)


def test_a_file_in_the_sockets_place_fails(folder: Path, stoker: Run) -> None:
    (folder / "s").touch()
    assert "is not a socket" in examine(stoker, 1)["socket"]["found"]


def test_a_dead_daemons_socket_is_a_warning(healthy: ScriptedDaemon, stoker: Run) -> None:
    healthy.close()
    assert examine(stoker)["daemon"]["level"] == "warn"


def test_another_version_is_a_warning(healthy: ScriptedDaemon, stoker: Run) -> None:
    healthy.on("ping", {"version": "0.0.9", "protocol": 1})
    found = examine(stoker)["daemon"]
    assert (found["level"], found["remedy"]) == ("warn", "restart the daemon")
    assert "0.0.9" in found["found"]


def test_a_daemon_that_does_not_answer_fails(
    healthy: ScriptedDaemon, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_: object) -> None:
        raise Silence

    monkeypatch.setattr("supervisor.cli.probes_daemon.ANSWER_WITHIN", 0.01)
    healthy.on("ping", never)
    assert examine(stoker, 1)["daemon"]["level"] == "fail"


def test_what_the_daemon_itself_complains_of_is_passed_on(healthy: ScriptedDaemon, stoker: Run) -> None:
    store = {"url": "sqlite:stoker.db", "state": "failing", "reason": "disk full", "epoch": 3}
    broken = pool(state="degraded", reason="No module named 'nosuch'")
    healthy.on("status", status(store=store, pools=[broken], unserved=["lost"]))
    checks = examine(stoker, 1)
    assert (checks["store"]["level"], checks["store"]["found"]) == ("fail", "disk full")
    assert checks["pool"]["found"] == "thumbs is degraded: No module named 'nosuch'"
    assert checks["queue"]["level"] == "warn"


def test_another_users_socket_fails(healthy: ScriptedDaemon, stoker: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    really = os.access
    monkeypatch.setattr(os, "access", lambda path, mode, **how: path != str(healthy.path) and really(path, mode, **how))
    assert "not for us" in examine(stoker, 1)["socket"]["found"]
