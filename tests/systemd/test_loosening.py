"""What examples/systemd/README.md says of the sandbox: what fails in it, how, and with which lines it does not."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from supervisor.units.files import Service, render
from tests.systemd.box import Box, box
from tests.systemd.examples import FOLDER

PYTHON = Path("/usr/bin/python3")  # the system's: it can be seen in any sandbox
PRELUDE = """
import ctypes, errno, mmap, os, socket, subprocess
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    if getattr(libc, name)(*args) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
"""
# What the document's first column means, in Python.
PROBES = {
    "write files outside": "open('/srv/thumbs/new', 'w')",
    "read files in `/home`": "os.listdir('/home/alice')",
    "see the `/tmp` of others": "open('/tmp/theirs')",
    "use hardware": "open('/dev/hardware')",
    "list the machine's network interfaces": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW); socket.if_nameindex()",
    "listen on a port below 1024": "socket.create_server(('127.0.0.1', 80))",
    "see processes of other users": "open('/proc/1/stat')",
    "trace a process": "call('ptrace', 0, 0, 0, 0)",
    "change the owner or group": "open('/tmp/f', 'w'); os.chown('/tmp/f', -1, os.getgid())",
    "set a set-group-ID bit": "open('/tmp/f', 'w'); os.chmod('/tmp/f', 0o2700)",
    "make a sandbox of its own": "subprocess.run(['unshare', '-Urm', 'mount', '-t', 'tmpfs', 'x', '/tmp'], check=True)",
    "turn address randomisation off": "call('personality', 0x0040000)",
    "use the network": "s = socket.create_server(('127.0.0.1', 1999)); socket.create_connection(s.getsockname())",
    "compile while it runs": "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)",
    "have a niceness": "os.nice(1); os.sched_setaffinity(0, os.sched_getaffinity(0))",
}
# Needs a foreign program; would be a burden for this machine; cannot be had at all.
NOT_TRIED = ("run 32-bit programs", "start thousands of processes", "become root")


class Claim(NamedTuple):
    wanted: str
    error: str
    lines: list[str]
    strict: bool


def claims() -> Iterator[Claim]:
    """The rows of both tables."""
    plain, strict = re.split(r"^With `strict/`", (FOLDER / "README.md").read_text(), flags=re.MULTILINE)
    for text in (plain, strict):
        for wanted, error, remedy in re.findall(r"^\| (.*?) \| (.*?) \| (.*?) \|$", text, flags=re.MULTILINE)[1:]:
            yield Claim(wanted, error, re.findall(r"`(\w+=[^`]*)`", remedy), text is strict)


def probe(wanted: str) -> str | None:
    return next((code for start, code in PROBES.items() if wanted.startswith(start)), None)


def unit(code: str, strict: bool, *lines: str) -> str:
    """That program in the sandbox that we ship, with these lines of a drop-in."""
    shipped = render(Service(strict=strict))["system/stoker.service"]
    sandbox = shipped[shipped.index("[Service]") : shipped.index("[Install]")]
    program = json.dumps(PRELUDE + code).replace("%", "%%")
    own = ["Type=oneshot", "Restart=no", "WatchdogSec=0", "User=nobody", "Group=nogroup", "ExecStart=", "ExecReload="]
    return "\n".join([sandbox, *own, f"ExecStart={PYTHON} -c {program}", *lines, ""])


@pytest.fixture(scope="module")
def tried() -> Iterator[Box]:
    """For each claim N the units N-without and N-with."""
    if not PYTHON.exists():
        pytest.skip("needs the system's own Python (Debian package python3)")
    units = {}
    for number, claim in enumerate(claims()):
        if code := probe(claim.wanted):
            units[f"{number}-without.service"] = unit(code, claim.strict)
            units[f"{number}-with.service"] = unit(code, claim.strict, *claim.lines)
    with box(units) as machine:
        machine.run("install", "-d", "-o", "nobody", "/srv/thumbs", "/home/alice")
        machine.write("/tmp/theirs", "")
        machine.write("/dev/hardware", "")
        yield machine


def outcome(machine: Box, name: str) -> tuple[str, str]:
    """Whether the unit ended well, and what it said."""
    machine.run("systemctl", "start", name, check=False)
    result = machine.run("systemctl", "show", "--value", "-p", "Result", name).strip()
    return result, machine.run("journalctl", "--no-pager", "-o", "cat", "-u", name)


def test_every_claim_is_tried_or_known_not_to_be() -> None:
    unknown = [claim.wanted for claim in claims() if not probe(claim.wanted) and not claim.wanted.startswith(NOT_TRIED)]
    assert unknown == []
    assert len(list(claims())) == len(PROBES) + len(NOT_TRIED)


@pytest.mark.parametrize(
    ("number", "claim"),
    [pytest.param(number, claim, id=claim.wanted[:30]) for number, claim in enumerate(claims()) if probe(claim.wanted)],
)
def test_a_worker_fails_without_the_lines_and_not_with_them(tried: Box, number: int, claim: Claim) -> None:
    result, said = outcome(tried, f"{number}-without.service")
    assert (result, claim.error in said) == ("exit-code", True), said
    result, said = outcome(tried, f"{number}-with.service")
    assert result == "success", said
