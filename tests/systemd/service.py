"""stoker as a system service: the units of examples/systemd, installed as their header says, in a box."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli_w

from protocol.client import Client
from tests.systemd.box import Box, box
from tests.systemd.surroundings import PYTHON, ROOT, binds

UNITS = ROOT / "examples/systemd"
STOKER = "/opt/stoker/bin/stoker"
PROGRAM = f'#!/bin/sh\nexec {PYTHON} -m supervisor "$@"\n'


class Service:
    """stoker.service in a box that is up."""

    def __init__(self, machine: Box) -> None:
        self.box = machine
        tree = machine.root / "sys/fs/cgroup"
        unified = tree / "unified" if (tree / "unified").is_dir() else tree
        self.cgroup = unified / "system.slice/stoker.service"

    def client(self) -> Client:
        return Client(str(self.box.root / "run/stoker.sock"))

    def systemctl(self, verb: str) -> None:
        self.box.run("systemctl", verb, "stoker.service")

    def property(self, name: str) -> str:
        return self.box.run("systemctl", "show", "--value", "-p", name, "stoker.service").strip()

    def log(self) -> list[dict[str, Any]]:
        """Its events."""
        lines = self.box.run("journalctl", "--no-pager", "-o", "cat", "_SYSTEMD_UNIT=stoker.service").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def tree(self) -> dict[str, list[int]]:
        """Who lives in its cgroup and those below, by their paths; the pids are this machine's."""
        found = {}
        for procs in sorted(self.cgroup.rglob("cgroup.procs")):
            found[str(procs.parent.relative_to(self.cgroup))] = [int(pid) for pid in procs.read_text().split()]
        return found


@contextmanager
def service(
    pools: Mapping[str, Mapping[str, Any]],
    *lines: str,
    daemon: Mapping[str, Any] | None = None,
    more_units: Mapping[str, str] | None = None,
) -> Iterator[Service]:
    """Installed, with these pools, and `lines` for its [Service] section; not yet started. `daemon` is for that table
    of the configuration, `more_units` gives further unit files by name."""
    units = {file.name: file.read_text() for file in UNITS.glob("stoker.*")} | dict(more_units or {})
    with box(units) as machine:
        here = {"state_dir": "/var/lib/stoker", "log_format": "json", "drain_timeout": "0.1s"}
        config = {"daemon": {**here, **(daemon or {})}, "pools": pools}
        machine.write("/etc/stoker/stoker.toml", tomli_w.dumps(config))
        machine.write(STOKER, PROGRAM)
        machine.run("chmod", "755", STOKER)
        machine.run("useradd", "--system", "--home-dir", "/var/lib/stoker", "--shell", "/usr/sbin/nologin", "stoker")
        # What the service's user must be able to enter, and its PrivateTmp would hide.
        ways = {way for place in (ROOT, Path(sys.prefix), Path(PYTHON).resolve()) for way in place.parents}
        machine.run("chmod", "a+x", *ways)
        shown = [f"BindReadOnlyPaths={place}" for place in binds()]
        lines = ("[Service]", f"Environment=PYTHONPATH={ROOT}", *shown, *lines, "")
        machine.write("/etc/systemd/system/stoker.service.d/here.conf", "\n".join(lines))
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "start", "stoker.socket")
        yield Service(machine)
