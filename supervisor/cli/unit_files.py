"""Writing a service's files where systemd looks for them, and what has to be run then."""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.cli import output
from supervisor.cli.failures import Failed, Misuse

if TYPE_CHECKING:
    from supervisor.cli.installation import Installation

Step = tuple[str, ...]


def place(path: str, root: str | None) -> Path:
    """Where a file belongs that `supervisor.units` calls so: an administrator's in /etc, a package's below `root`."""
    folder, _, name = path.partition("/")
    systemd = folder in ("system", "user")
    if root is not None:
        return Path(os.path.abspath(root)) / "usr/lib" / ("systemd" if systemd else "") / folder / name
    if folder == "user":
        config = os.environ.get("XDG_CONFIG_HOME", "")
        return Path(config if os.path.isabs(config) else os.path.expanduser("~/.config")) / "systemd" / path
    return Path("/etc/systemd" if systemd else "/etc") / path


def check_caller(of_user: bool) -> None:
    """Whether whoever runs this may install such a service; raises Misuse."""
    if not of_user and os.geteuid() != 0:
        raise Misuse("only root may install a service of the system: use sudo, or make it your own with --user")
    if of_user and os.geteuid() == 0:
        raise Misuse("root's services are the system's: leave --user away, or run the command as the service's user")


def install(files: dict[Path, str], *, force: bool) -> bool:
    """Write them, all or none where one differs from what is there; tells whether one has been replaced."""
    try:
        there = {file: _content(file) for file in files}
        differ = [file for file, content in there.items() if content not in (None, files[file].encode())]
        if differ and not force:
            raise Misuse(
                f"{' and '.join(map(str, differ))} {'is' if len(differ) == 1 else 'are'} there already and "
                "different; nothing is written: keep changes of your own in a drop-in (systemctl edit), "
                "and replace the files with --force"
            )
        for file, text in files.items():
            _install(file, text, there[file])
    except OSError as error:
        raise Failed(f"cannot write {error.filename}: {error.strerror}") from None
    return bool(differ)


def steps(files: list[Path], unit: str, of_user: bool, replaced: bool) -> list[Step]:
    """What makes the files count and the service run; one that runs already goes on with them."""
    systemctl = ("systemctl", "--user") if of_user else ("systemctl",)
    found: list[Step] = []
    for file in files:
        if file.parent.name == "sysusers.d":
            found.append(("systemd-sysusers", str(file)))
        if file.parent.name == "tmpfiles.d":
            found.append(("systemd-tmpfiles", "--create", str(file)))
    found.append((*systemctl, "daemon-reload"))
    if replaced:
        found.append((*systemctl, "try-restart", f"{unit}.service"))
    return [*found, (*systemctl, "enable", "--now", f"{unit}.socket", f"{unit}.service")]


def go_on(steps: list[Step], found: "Installation", now: bool) -> None:
    """Run them, or say them."""
    missing = not os.path.exists(found.config)
    if now and not missing:
        for step in steps:
            _run(step)
        output.write(f"{found.unit}.service runs")
        return
    output.write("\nnext:\n" if not missing else f"\nwrite {found.config}, and then:\n")
    for step in steps:
        output.write(f"    {shlex.join(step)}")
    if found.service.of_user:
        output.write("    loginctl enable-linger  # that it runs while you are not logged in, too")
    if now:
        raise Failed(f"there is no {found.config}: the files are installed, and nothing is started")


def _run(step: Step) -> None:
    output.write(shlex.join(step))
    output.flush()
    try:
        code = subprocess.run(step, check=False).returncode
    except OSError as error:
        raise Failed(f"cannot run {step[0]}: {error.strerror}; the files are installed") from None
    if code:
        raise Failed(f"{shlex.join(step)} failed: the files are installed, and what came before has been done")


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b"" if file.is_symlink() else None


def _install(file: Path, text: str, before: bytes | None) -> None:
    if before == text.encode():
        output.write(f"unchanged {file}")
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    old = ""
    if before is not None:
        _write(Path(f"{file}.old"), before)
        old = f" (before: {file}.old)"
    _write(file, text.encode())
    output.write(f"wrote {file}{old}")


def _write(file: Path, content: bytes) -> None:
    """Whole, or not at all: systemd may read it at any moment."""
    handle, new = tempfile.mkstemp(dir=file.parent, prefix=".stoker-")
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(handle, 0o644)
            stream.write(content)
            stream.flush()
            os.fsync(handle)
        os.replace(new, file)
    except BaseException:
        os.unlink(new)
        raise
