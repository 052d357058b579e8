"""A machine with a kernel of its own, for what this one's kernel or its cgroups do not have. It boots in two seconds,
runs one command, and is gone."""

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.systemd.surroundings import ENVIRON, binds, need, write_units

HERE = Path(__file__).parent
# What runs the command: `poweroff` takes the machine down, and with it the process that it is for the one outside.
RUN = """\
[Unit]
After=basic.target
[Service]
StandardOutput=null
ExecStart=/bin/sh -c '. /machine/out/command >/machine/out/output 2>&1 </dev/null; echo $? >/machine/out/code; \\
  journalctl --no-pager -o cat >/machine/out/journal; systemctl poweroff -ff'
"""
TARGET = "[Unit]\nRequires=basic.target\nWants=machine-run.service\nAllowIsolate=yes\n"


class Outcome(NamedTuple):
    """Of the command: its exit code, and what it printed; what systemd's journal says."""

    code: int
    output: str
    journal: str


def run_with_own_kernel(
    *argv: str | Path,
    units: Mapping[str, str] | None = None,
    show: Sequence[Path] = (),
    timeout: float = 100.0,
) -> Outcome:
    """Run a command as root in a new machine that has these units, by name, and sees the folders `show`, read-only.
    Skips the test where none can be made."""
    need("unshare", "linux.uml", "gcc")
    with _folder() as folder:
        environ = "".join(f"Environment={shlex.quote(f'{name}={value}')}\n" for name, value in ENVIRON.items())
        (folder / "out" / "command").write_text(shlex.join(map(str, argv)))
        write_units(folder / "units", {**(units or {}), "machine-run.service": RUN + environ, "machine.target": TARGET})
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-O2", "-o", folder / "preload", HERE / "xstate.c"], check=True, timeout=60
        )
        console = _boot(folder, binds(*show), timeout)
        out = {file.name: file.read_text() for file in (folder / "out").iterdir()}
        assert "code" in out, f"the machine has not come to its end: {console}{out}"
        return Outcome(int(out["code"]), out["output"], out["journal"])


def _boot(folder: Path, shown: Sequence[Path], timeout: float) -> str:
    """What the kernel had to say until it was down; it is given up after `timeout` seconds."""
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
    inside = ["sh", str(HERE / "kernel.sh"), "host", str(folder), *map(str, shown)]
    with (folder / "console").open("wb") as console:
        process = subprocess.Popen(
            [*namespaces, *inside], stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True
        )
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()  # and with it all in its namespace
            process.wait()
    return (folder / "console").read_text(errors="replace")[-4000:]


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="stoker-kernel-"))
    try:
        for name in ("root", "layers", "out"):
            (folder / name).mkdir()
        yield folder
    finally:
        shutil.rmtree(folder)
