"""The unit files in examples/systemd fit the daemon's defaults, and systemd understands every line of them."""

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from supervisor.config.model import DaemonConfig, PoolConfig
from supervisor.units.files import Service, render
from tests.systemd.examples import INSTANCES, OF_USER, texts

UNITS = Path(__file__).parents[2] / "examples/systemd"
DAEMON = DaemonConfig(socket=Path("/run/stoker.sock"), state_dir=Path("/var/lib/stoker"))
POOL = PoolConfig(name="x", command=("x",), queues=("x",), cwd=Path("/"))
ODD = '/srv/a %% "b'
VARIANTS = {
    "default": Service(),
    "strict": Service(strict=True),
    "dynamic": Service(dynamic=True),
    "strict dynamic": Service(strict=True, dynamic=True),
    "instances": Service(instances=True, **INSTANCES),
    "strict instances": Service(strict=True, instances=True, **INSTANCES),
    "of a user": Service(of_user=True, **OF_USER),
    "instances of a user": Service(
        of_user=True, instances=True, config="%E/stoker/%i.toml", socket="%t/stoker-%i.sock"
    ),
    "elsewhere": Service(
        config='/srv/a %% "b/x.toml', socket='/srv/a %% "b/s', state_dir='/srv/a %% "b', user="daemon"
    ),
}


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
    made = [file for file in UNITS.rglob("*") if file.is_file() and file.name != "README.md"]
    files = {str(file.relative_to(UNITS)): file.read_text() for file in made}
    assert files == texts(), "write them anew with: python -m tests.systemd.examples"


@pytest.fixture(params=VARIANTS)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> list[Path]:
    """The units of a variant, with a program that is there."""
    found = []
    for path, text in render(replace(VARIANTS[request.param], program=("/bin/true",))).items():
        if path.startswith(("system/", "user/")):
            found.append(tmp_path / Path(path).name)
            found[-1].write_text(text)
    return found


def test_systemd_understands_every_line(files: list[Path]) -> None:
    assert complaints(files) == []
    text = files[0].read_text()
    files[0].write_text(text.replace("Restart=", "Restrat="))
    assert ["Restrat" in line for line in complaints(files)] == [True]  # it reads what we think that it reads


def complaints(files: list[Path]) -> list[str]:
    """Of systemd about these units. Unknown settings are warnings, and verify ends well with those."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("needs systemd-analyze (Debian package systemd)")
    done = subprocess.run(
        [analyze, *(["--user"] if "%t" in files[1].read_text() else []), "verify", *files],
        env={**os.environ, "XDG_RUNTIME_DIR": str(files[0].parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [line for line in done.stderr.splitlines() if "stoker" in line]  # others are about the machine's own


@pytest.mark.parametrize(
    "place",
    [
        {"program": ("/home/a/stoker",)},
        {"config": "/root/stoker.toml"},
        {"state_dir": "/home/a/state"},
        {"socket": "/home/a/stoker.sock"},  # a reload goes through it, from within the sandbox
    ],
)
def test_home_folders_are_hidden_from_a_service_unless_it_lives_in_one(place: dict[str, Any]) -> None:
    assert "\nProtectHome=yes\n" in render(Service())["system/stoker.service"]
    assert "\nProtectHome=read-only\n" in render(Service(**place))["system/stoker.service"]


def test_every_placeholder_has_a_value() -> None:
    for service in VARIANTS.values():
        for path, text in render(service).items():
            assert not re.search("@[A-Z]", text), path
            assert "\n\n\n" not in text, path
            assert not text.startswith("\n"), path
