"""A real systemd as PID 1 of namespaces of its own: up in half a second, and gone with all it started."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.systemd.surroundings import ENVIRON, binds, need, write_units

PATIENCE = 30.0  # seconds; a test that needs them has failed
CGROUPS = Path("/sys/fs/cgroup")


class Box:
    """One that is up. It sees this machine's files, and what it writes is lost with it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.root = Path(f"/proc/{pid}/root")  # its files, from outside

    def run(self, *argv: str | Path, check: bool = True, timeout: float = PATIENCE) -> str:
        """What a command printed that was run as root inside, stderr included where it must not fail."""
        enter = ["nsenter", "-t", str(self._pid), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--", "env", "-i"]
        environ = [f"{name}={value}" for name, value in ENVIRON.items()]
        done = subprocess.run([*enter, *environ, *argv], text=True, capture_output=True, timeout=timeout, check=False)
        assert done.returncode == 0 or not check, (
            f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}{self.journal()}"
        )
        return done.stdout

    def journal(self) -> str:
        return self.run("journalctl", "--no-pager", "-o", "cat", check=False)

    def write(self, path: str, text: str) -> None:
        """A file of the box."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@contextmanager
def box(units: Mapping[str, str]) -> Iterator[Box]:
    """A booted box with these units, by name, beside what systemd needs itself. Skips the test where none can be."""
    need("unshare", "nsenter", "pivot_root")
    folder = Path(tempfile.mkdtemp(prefix="stoker-box-"))
    for name in ("root", "layers"):
        (folder / name).mkdir()
    write_units(folder / "units", units)
    cgroups = [place / folder.name for place in _own_cgroups()]
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        for cgroup in cgroups:
            cgroup.mkdir()
            stack.callback(_remove, cgroup)
        starter = stack.enter_context(_start(folder, cgroups))
        stack.callback(starter.kill)  # with it goes the box's first process, and with that the rest
        _until((folder / "pid").exists, "it had namespaces", folder, starter)
        for cgroup in cgroups:  # version 2 wants no process beside those further down
            (cgroup.parent / "cgroup.procs").write_text(str(starter.pid))
        up = Box(int((folder / "pid").read_text()))
        _until((up.root / "run/systemd/private").is_socket, "systemd listened", folder, starter)
        state = up.run("systemctl", "is-system-running", "--wait", check=False).strip()
        assert state == "running", f"{state}: {up.run('systemctl', '--failed', check=False)}{up.journal()}"
        yield up


def _own_cgroups() -> list[Path]:
    """Where a box may have one beside ours: in version 2, and in systemd's own tree where version 1 is in use."""
    own = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    if not (CGROUPS / "unified").is_dir():
        return [CGROUPS]  # at the top: below a cgroup that has processes, no controller can be had
    return [CGROUPS / "unified" / own[""].lstrip("/"), CGROUPS / "systemd" / own["name=systemd"].lstrip("/")]


def _start(folder: Path, cgroups: list[Path]) -> "subprocess.Popen[bytes]":
    """Begin in the cgroups, so that they are the top of what the namespaces show, and make those."""
    script = 'for cgroup in $CGROUPS; do echo $$ >"$cgroup/cgroup.procs"; done; exec "$@"'
    namespaces = ["--mount", "--pid", "--fork", "--uts", "--ipc", "--net", "--cgroup", "--kill-child=KILL"]
    inside = ["sh", str(Path(__file__).with_name("box.sh")), str(folder), *map(str, binds())]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            ["sh", "-c", script, "sh", "unshare", *namespaces, *inside],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "CGROUPS": " ".join(map(str, cgroups))},
            start_new_session=True,
        )


def _until(come: Callable[[], bool], what: str, folder: Path, starter: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE
    while not come():
        assert starter.poll() is None, f"the box ended before {what}: {(folder / 'log').read_text()}"
        assert time.monotonic() < deadline, f"waited {PATIENCE:g} s in vain for {what}: {(folder / 'log').read_text()}"
        time.sleep(0.005)


def _remove(cgroup: Path) -> None:
    """Once the kernel is through with the box's processes."""
    deadline = time.monotonic() + PATIENCE
    while cgroup.is_dir():
        for below, _, _ in os.walk(cgroup, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(below)
        assert time.monotonic() < deadline, f"{cgroup} cannot be removed"
        time.sleep(0.005)
