"""README.md's "Run it as a service": each of its commands, as it is written there, on a machine with systemd."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from tests.systemd import wheels
from tests.systemd.box import Box, box
from tests.systemd.surroundings import ROOT

pytestmark = pytest.mark.long

SECTION = "Run it as a service"
PYTHON = "/usr/bin/python3"  # what a newcomer has
HOME = "/home/alice"
RUNTIME = "/run/user/4321"
# Without logind: what it starts for a user who logs in.
MANAGER = f"""\
[Service]
Type=notify
User=alice
RuntimeDirectory={RUNTIME.removeprefix("/run/")}
RuntimeDirectoryMode=0700
Environment=XDG_RUNTIME_DIR={RUNTIME} SYSTEMD_GENERATOR_PATH=/run/empty
ExecStart=/lib/systemd/systemd --user
Delegate=yes
"""
# What some commands have to say, so that they have not only ended well.
SAYS = {
    "systemctl status stoker": r"Active: active \(running\)[^\0]*Status: \"1 pool, [12]/2 workers",
    "stoker submit hello": r"Hello, world!",
    "journalctl -u stoker": r"Started stoker\.service",
    "stoker -c /etc/stoker/mail.toml status": r"configuration /etc/stoker/mail\.toml",
    "systemctl --user status stoker": r"Status: \"1 pool, [12]/2 workers[^\0]*/stoker\.service\n[^\n]*daemon\n",
    "journalctl --user -u stoker": r"Started stoker\.service",
}


def blocks() -> Iterator[list[str]]:
    """The section's commands, together as they stand there."""
    text = (ROOT / "README.md").read_text()
    section = re.search(rf"^## {SECTION}\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    assert section is not None
    for block in re.findall(r"(?:^ {4}.*\n)+", section[1], re.MULTILINE):
        yield [line.removeprefix("    ") for line in block.splitlines()]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheels of what stoker needs to be built and to run."""
    folder = tmp_path_factory.mktemp("wheels")
    version = "import sys; print(sys.version_info[:2])"
    theirs = subprocess.run([PYTHON, "-c", version], capture_output=True, text=True, check=False).stdout.strip()
    if theirs != str(sys.version_info[:2]):
        pytest.skip(f"needs {PYTHON} to be the version that runs the tests: the wheels are for that")
    try:
        wheels.collect(folder, "hatchling", *wheels.needs("stoker"))
    except PackageNotFoundError as missing:
        pytest.skip(f"needs {missing.name}, to build a wheel without network: pip install -e '.[dev]'")
    return folder


@pytest.fixture
def machine(packages: Path) -> Iterator[Box]:
    with box({"login.service": MANAGER}) as up:
        for wheel in packages.iterdir():
            (up.root / "run/wheels").mkdir(exist_ok=True)
            (up.root / "run/wheels" / wheel.name).write_bytes(wheel.read_bytes())
        # A user's log is a file of its own only where logs are kept.
        up.write("/run/systemd/journald.conf.d/kept.conf", "[Journal]\nStorage=persistent\n")
        up.run("systemctl", "restart", "systemd-journald")
        up.run("journalctl", "--flush")
        up.run("useradd", "--create-home", "--home-dir", HOME, "--shell", "/bin/sh", "--uid", "4321", "alice")
        up.run("chmod", "a+x", *ROOT.parents, ROOT)
        up.run("systemctl", "start", "login.service")
        yield up


def run(machine: Box, command: str, user: str) -> str:
    """In a shell at the top of the checkout; what it printed."""
    environ = ["-u", "PYTHONPATH", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/run/wheels", "PIP_DISABLE_PIP_VERSION_CHECK=1"]
    if user != "root":
        environ += [f"HOME={HOME}", f"XDG_RUNTIME_DIR={RUNTIME}"]
    script = f"cd {shlex.quote(str(ROOT))} && {command}"
    return machine.run("runuser", "-u", user, "--", "env", *environ, "sh", "-c", script, timeout=120)


def test_each_command_does_what_it_says_in_the_order_of_the_section(machine: Box) -> None:
    unsaid = dict(SAYS)
    for block in blocks():
        user = "alice" if any("--user" in line for line in block) else "root"
        for command in block:
            printed = run(machine, command, user)
            for begins in [begins for begins in unsaid if command.startswith(begins)]:
                assert re.search(unsaid.pop(begins), printed), f"{command}\n{printed}"
    assert unsaid == {}
