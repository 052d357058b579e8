"""The unit files in examples/systemd fit the daemon's defaults, and systemd understands every line of them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from supervisor.config.model import DaemonConfig, PoolConfig
from tests.systemd.examples import texts

UNITS = Path(__file__).parents[2] / "examples/systemd"
DAEMON = DaemonConfig(socket=Path("/run/stoker.sock"), state_dir=Path("/var/lib/stoker"))
POOL = PoolConfig(name="x", command=("x",), queues=("x",), cwd=Path("/"))


def settings(name: str) -> dict[str, str]:
    lines = re.findall(r"^([A-Za-z]+)=(.*)$", (UNITS / name).read_text(), flags=re.MULTILINE)
    return dict(lines)


def test_systemd_waits_longer_for_a_stop_than_a_stop_takes() -> None:
    assert float(settings("stoker.service")["TimeoutStopSec"]) >= DAEMON.drain_timeout + POOL.kill_grace + 2


def test_systemd_waits_longer_for_a_start_than_a_worker_may_take() -> None:
    assert float(settings("stoker.service")["TimeoutStartSec"]) > POOL.boot_timeout


def test_a_wrong_configuration_is_not_started_again_for_ever() -> None:
    assert settings("stoker.service")["Restart"] == "always"
    assert settings("stoker.service")["RestartPreventExitStatus"] == "2"


def test_the_socket_is_where_clients_look_for_it() -> None:
    assert settings("stoker.socket")["ListenStream"] == str(DAEMON.socket)
    assert f"/{settings('stoker.service')['StateDirectory']}" in str(DAEMON.state_dir)


def test_the_examples_are_what_the_templates_make() -> None:
    files = {str(file.relative_to(UNITS)): file.read_text() for file in UNITS.rglob("*") if file.is_file()}
    assert files == texts(), "write them anew with: python -m tests.systemd.examples"


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    for name in ("stoker.service", "stoker.socket"):
        # The program is elsewhere on each machine, and here it need not be at all.
        text = (UNITS / name).read_text().replace("/opt/stoker/bin/stoker", "/bin/true")
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [analyze, "verify", tmp_path / "stoker.service", tmp_path / "stoker.socket"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # Unknown settings are warnings, and verify ends well with those; other lines are about other units of the machine.
    complaints = [line for line in done.stderr.splitlines() if "stoker." in line]
    assert complaints == []
    assert done.returncode == 0, done.stderr
