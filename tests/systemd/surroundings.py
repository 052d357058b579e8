"""What both machines are made of: a copy-on-write view of this one's files, systemd with next to nothing to start, and
what lies where they cannot see it."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = sys.executable
SYSTEMD = Path("/lib/systemd/systemd")
# Of all that systemd wants to start by itself.
NEEDED = {"systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket"}
WANTED_BY = ("sysinit", "basic", "sockets", "local-fs", "timers", "multi-user")
# Mounts and services that more than one of these want, without a line in their folders.
ALSO_UNNEEDED = ("tmp.mount", "systemd-remount-fs.service", "systemd-udevd.service", "modprobe@.service")
HIDDEN = ("/tmp", "/var/tmp", "/run", "/dev")  # each machine has its own
ENVIRON = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PYTHONPATH": str(ROOT),
    "PYTHONDONTWRITEBYTECODE": "1",
    "SYSTEMD_PAGER": "",
    "SYSTEMD_COLORS": "0",
}


def need(*programs: str) -> None:
    """Skip the test, with the reason, where this machine cannot be another's host."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for namespaces and mounts")
    if not SYSTEMD.exists():
        pytest.skip("needs systemd (Debian package systemd)")
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")


def binds(*more: Path) -> list[Path]:
    """Folders to be shown in the machine, read-only: the project, its interpreter, and `more`."""
    wanted = dict.fromkeys(path.resolve() for path in (ROOT, Path(sys.prefix), Path(sys.base_prefix), *more))
    return [path for path in wanted if _is_hidden(path) and not any(other in path.parents for other in wanted)]


def _is_hidden(path: Path) -> bool:
    """The machine sees our root's own file system alone, and that not everywhere."""
    other = path.stat().st_dev != Path("/").stat().st_dev
    return other or any(path.is_relative_to(folder) for folder in HIDDEN)


def write_units(folder: Path, units: Mapping[str, str]) -> None:
    """What becomes the machine's /etc/systemd/system: `units` by name, and no other service than the journal."""
    folder.mkdir()
    system = SYSTEMD.parent / "system"
    unneeded = {wanted.name for target in WANTED_BY for wanted in system.glob(f"{target}.target.wants/*")} - NEEDED
    for name in (*unneeded, *ALSO_UNNEEDED):
        (folder / name).symlink_to("/dev/null")
    for name, text in units.items():
        (folder / name).write_text(text)
