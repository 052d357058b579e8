"""stoker restore."""

import os
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from supervisor.cli import output
from supervisor.cli.copying import as_sentences, count, size
from supervisor.cli.failures import Failed, Misuse
from supervisor.cli.options import config_option, json_option

if TYPE_CHECKING:
    from supervisor.daemon.offline import Contents


@click.command()
@click.option("--check", "--dry-run", "only_check", is_flag=True, help="Only say whether FILE could be restored.")
@json_option
@config_option
@click.argument("file")
def restore(file: str, only_check: bool, as_json: bool) -> None:
    """Put a backup in the place of the queue, while no daemon runs.

    FILE is what `stoker backup` has written (- is stdin). What is there now is moved aside, never deleted. Jobs that
    were accepted since the backup are not in it, and those that ended since run again.
    """
    if only_check:
        _check(file, as_json)
        return
    from supervisor.cli import configuration

    config = configuration.read(configuration.find())
    from supervisor.daemon import offline

    source = _open(file)
    try:
        with as_sentences():
            if file != "-":
                offline.check_alone(Path(file))
            done = offline.restore(config, source, time.time_ns() // 1000)
    finally:
        os.close(source)
    told = _told(file, done.contents)
    if as_json:
        output.write_json({**told, "aside": None if done.aside is None else str(done.aside)})
        return
    output.write(f"restored: {_words(done.contents)}")
    if done.aside is not None:
        output.write(f"what was there before is now {done.aside}; `stoker restore` with that name brings it back")
    if done.contents.running:
        output.write(
            f"{count(done.contents.running, 'job')} ran when the backup was made, and will run again after the next "
            'start (or end failed, where the queue says on_daemon_crash = "fail")'
        )
    output.write("jobs that ended since the backup run again; start the daemon when that may be")


def _check(file: str, as_json: bool) -> None:
    if file == "-":
        raise Misuse("--check wants a file that it can read more than once, and - is not")
    from supervisor.daemon import offline

    os.close(_open(file))
    with as_sentences():
        found = offline.check(Path(file), deep=True)
    if as_json:
        output.write_json(_told(file, found))
    else:
        output.write(f"{file} is whole: {_words(found)}")


def _open(file: str) -> int:
    if file == "-":
        if sys.stdin.isatty():
            raise Misuse(
                "stdin is a terminal: name a FILE, or let a program write it (zstd -dc FILE | stoker restore -)"
            )
        return os.dup(sys.stdin.fileno())
    try:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Failed(f"cannot read {file}: {error.strerror}") from None
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise Failed(f"{file} is a folder: name the file that `stoker backup` has written")
    return fd


def _told(file: str, found: "Contents") -> dict[str, Any]:
    return {
        "file": file,
        "bytes": found.bytes,
        "jobs": found.jobs,
        "running": found.running,
        "schema": found.schema,
    }


def _words(found: "Contents") -> str:
    return f"{count(found.jobs, 'job')}, {size(found.bytes)}, store version {found.schema}"
