"""stoker init: a configuration and a worker that run as they are."""

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from supervisor.cli import output
from supervisor.cli.connection import LOCAL_CONFIG
from supervisor.cli.failures import Misuse

WORKER_FILE = "worker.py"
SOCKET = "stoker.sock"
STATE = "state"
SOCKET_PATH_MAX = 107  # bytes, the kernel's limit


@click.command()
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@click.argument("folder", metavar="[DIR]", default=".")
def init(folder: str, force: bool) -> None:
    """Write a configuration and a worker, ready to run.

    stoker.toml and worker.py go into DIR, or here.
    """
    from supervisor.cli import templates

    place = Path(folder)
    config = _render(_settings(place), templates.HEAD, templates.REMARKS)
    files = {place / LOCAL_CONFIG: config, place / WORKER_FILE: templates.WORKER}
    if not force:
        _refuse_existing(list(files))
    try:
        place.mkdir(parents=True, exist_ok=True)
        _write(files)
    except OSError as error:
        raise Misuse(f"cannot write {error.filename or place}: {_reason(error)}; choose another folder") from None
    for file in files:
        output.write(f"wrote {file}")
    _tell_next(place)


def _write(files: dict[Path, str]) -> None:
    """All of them, or (on a full disk) none, and no half of one in the place of an older one."""
    new = {file: file.with_name(f".{file.name}.new") for file in files}
    try:
        for file, text in files.items():
            new[file].write_text(text, encoding="utf-8")
            if file.name == WORKER_FILE:
                new[file].chmod(0o755)
        for file in files:
            new[file].replace(file)
    finally:
        for left in new.values():
            left.unlink(missing_ok=True)


def _refuse_existing(files: list[Path]) -> None:
    there = [str(file) for file in files if os.path.lexists(file)]
    if there:
        raise Misuse(
            f"{' and '.join(there)} {'exists' if len(there) == 1 else 'exist'} already; "
            "nothing is written: choose another folder, or overwrite with --force"
        )


def _reason(error: OSError) -> str:
    if isinstance(error, FileExistsError):
        return "it is a file, where a folder is wanted"
    return error.strerror or str(error)


def _settings(place: Path) -> dict[str, Any]:
    """Socket and state beside the configuration, so that two folders are two daemons; where the path would be too long
    for a socket, its default place. A service has its places from its unit."""
    daemon = {"socket": SOCKET, "state_dir": STATE}
    if len(os.fsencode(place.absolute() / SOCKET)) > SOCKET_PATH_MAX:
        del daemon["socket"]
    return {
        **({} if _of_service(place) else {"daemon": daemon}),
        "pools": {"hello": {"command": ["python3", WORKER_FILE], "size": 2, "timeout": "60s"}},
        "queues": {"hello": {"max_attempts": 5}},
    }


def _of_service(place: Path) -> bool:
    from supervisor.config.places import SYSTEM_FOLDER, user_folder

    return place.absolute() in (SYSTEM_FOLDER, user_folder(os.environ))


def _render(settings: dict[str, Any], head: str, remarks: dict[str, str]) -> str:
    import tomli_w

    lines = []
    for line in tomli_w.dumps(settings, multiline_strings=False).splitlines():
        lines.append(line)
        if line in remarks:
            lines.append(remarks[line])
    return head + "\n".join(lines) + "\n"


def _tell_next(place: Path) -> None:
    stoker = _this_command()
    if _of_service(place):
        mine = "" if os.geteuid() == 0 else " --user"
        output.write(f"\nrun it as a service:\n\n    {stoker} systemd{mine} --install --now")
        return
    go = "" if place.resolve() == Path.cwd() else f"cd {shlex.quote(str(place))} && "
    payload = shlex.quote('{"name":"world"}')
    output.write("\nstart the daemon:\n")
    output.write(f"    {go}{stoker} serve")
    output.write("\nand, in another terminal, give it a job:\n")
    output.write(f"    {go}{stoker} submit hello {payload} --wait")


def _this_command() -> str:
    """How to call us again: by name where the PATH finds this very command, else as we were called."""
    called = os.path.abspath(sys.argv[0])
    if Path(called).parts[-2:] == ("supervisor", "__main__.py"):
        return f"{shlex.quote(sys.executable)} -m supervisor"
    found = shutil.which("stoker")
    if os.path.basename(called) != "stoker" or (found and os.path.realpath(found) == os.path.realpath(called)):
        return "stoker"
    return shlex.quote(called)
