"""stoker as a system service: the units that we ship, installed in a box."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import tomli_w

from protocol.client import Client
from supervisor.units.files import Service as Installation
from supervisor.units.files import render
from tests.systemd.box import Box, box
from tests.systemd.surroundings import PYTHON, ROOT, binds

SHIPPED = Installation()
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
    shipped: Installation = SHIPPED,
    more: Mapping[str, str] | None = None,
    place: Callable[[Mapping[str, str]], AbstractContextManager[Box]] = box,
) -> Iterator[Service]:
    """Installed, with these pools, and `lines` for its [Service] section; not yet started. `daemon` is for that table
    of the configuration; `more`: units beside it; `place`: another machine than a box."""
    with place({**system_units(shipped), **(more or {})}) as machine:
        here = {"state_dir": "/var/lib/stoker", "log_format": "json", "drain_timeout": "0.1s"}
        config = {"daemon": {**here, **(daemon or {})}, "pools": pools}
        machine.write("/etc/stoker/stoker.toml", tomli_w.dumps(config))
        machine.write(STOKER, PROGRAM)
        machine.run("chmod", "755", STOKER)
        account = ("--home-dir", "/var/lib/stoker", "--shell", "/usr/sbin/nologin", "stoker")
        machine.run(*(("groupadd", "stoker-clients") if shipped.dynamic else ("useradd", "--system", *account)))
        # What the service's user must be able to enter, and its PrivateTmp and ProtectHome would hide.
        ways = {way for place in (ROOT, Path(sys.prefix), Path(PYTHON).resolve()) for way in place.parents}
        closed = [way for way in ways if not way.stat().st_mode & 0o001]  # the others may be shown read-only
        if closed:
            machine.run("chmod", "a+x", *closed)
        at_home = [path for path in (ROOT, Path(sys.prefix), Path(sys.base_prefix)) if _is_at_home(path)]
        shown = [f"BindReadOnlyPaths={path}" for path in dict.fromkeys((*binds(), *at_home))]
        shown += ["ProtectHome=tmpfs"] if at_home else []
        lines = ("[Service]", f"Environment=PYTHONPATH={ROOT}", *shown, *lines, "")
        machine.write("/etc/systemd/system/stoker.service.d/here.conf", "\n".join(lines))
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "start", "stoker.socket")
        yield Service(machine)


def system_units(shipped: Installation = SHIPPED) -> dict[str, str]:
    """By name."""
    return {path.removeprefix("system/"): text for path, text in render(shipped).items() if path.startswith("system/")}


def _is_at_home(path: Path) -> bool:
    """Whether ProtectHome= hides it."""
    return any(path.is_relative_to(home) for home in ("/home", "/root", "/run/user"))
