"""stoker backup."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from supervisor.cli import output
from supervisor.cli.connection import candidates, connect, plainly
from supervisor.cli.copying import Progress, as_sentences, summary
from supervisor.cli.failures import Failed, Misuse, NoDaemonThere, say
from supervisor.cli.options import json_option, place_options, places

_OF_A_STORE = ("-wal", "-shm", ".lock")  # what lies beside a database
FLUSH_EVERY = 8 * 1024 * 1024  # bytes: all at once they would be in the way of the daemon's own


@click.command()
@click.option("--force", is_flag=True, help="Write over FILE if it exists.")
@json_option
@place_options
@click.argument("file")
def backup(file: str, force: bool, as_json: bool) -> None:
    """Copy the whole queue to FILE.

    FILE may be - for stdout. The daemon may run, or not. The copy is the store as it was at one moment, one SQLite
    file, checked before it takes its name; `stoker restore` puts it back.
    """
    if file == "-":
        if output.is_terminal():
            raise Misuse(
                "a backup is no text for a terminal: name a FILE, or let a program read it (… - | zstd > FILE)"
            )
        if sys.stdout.name == os.devnull:  # nobody asked for that by name: see main
            raise Misuse("stdout is closed, and would take no backup: name a FILE, or open it (… - > FILE)")
        # What is asked of stdout is the copy: whatever else there is to say goes to stderr.
        found = _take(sys.stdout.fileno())
        say(output.to_json(found) if as_json else summary("the backup", found))
        return
    target = Path(file)
    with _part(target, force=force) as (part, fd):
        found = _take(fd)
        try:
            os.fsync(fd)
        except OSError as error:
            raise _lost(fd, error) from None
        _check(part)
        _name(part, target, force=force)
    if as_json:
        output.write_json({"file": str(target.absolute()), **found})
    else:
        output.write(summary(file, found))


def _take(fd: int) -> dict[str, Any]:
    """Of the daemon if one answers, else of its file."""
    with plainly(), Progress() as progress:
        try:
            client = connect(candidates(places()))
        except NoDaemonThere as nobody:
            return _take_offline(fd, progress, nobody)
        with client:
            return _receive(client.backup(), fd, progress)


def _receive(stream: Iterator[tuple[str, dict[str, Any]]], fd: int, progress: "Progress") -> dict[str, Any]:
    from binascii import a2b_base64

    _, begun = next(stream)
    received = flushed = 0
    for what, one in stream:
        if what == "copying":
            progress.show("copying", one["bytes"], one["of"])
        elif what == "chunk":
            data = a2b_base64(one["data"])
            if one["at"] != received:
                raise Failed("the daemon sent something else than the copy's next part: nothing was kept")
            _write(fd, data)
            received += len(data)
            if received - flushed >= FLUSH_EVERY:
                _flush(fd)
                flushed = received
            progress.show("receiving", received, begun["bytes"])
        elif what == "complete":
            if one["bytes"] != received:
                raise Failed(f"{received} of {one['bytes']} bytes came: nothing was kept")
            return {**one, "version": begun["version"], "daemon": True}
    raise AssertionError("the client ends with `complete` or an error")


def _take_offline(fd: int, progress: "Progress", nobody: NoDaemonThere) -> dict[str, Any]:
    from time import monotonic

    from msgspec.structs import asdict

    from supervisor.cli import configuration

    try:
        config = configuration.read(configuration.find())
    except Misuse:
        if places().config is None:  # nobody spoke of a file
            raise nobody from None
        raise
    from supervisor.daemon import offline

    began = monotonic()
    with as_sentences():
        if not offline.is_there(config):
            raise nobody
        try:
            contents = offline.backup(config, fd, lambda copied: progress.show("copying", copied.bytes, copied.of))
        except OSError as error:
            raise _lost(fd, error) from None
    return {**asdict(contents), "seconds": round(monotonic() - began, 3), "version": None, "daemon": False}


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(fd, rest) :]
    except OSError as error:
        raise _lost(fd, error) from None


def _lost(fd: int, error: OSError) -> Exception:
    return (
        output.OutputLost(error) if fd == 1 else Failed(f"cannot write the backup: {error.strerror}; nothing was kept")
    )


def _flush(fd: int) -> None:
    with suppress(OSError):  # a pipe
        os.fdatasync(fd)


@contextmanager
def _part(target: Path, *, force: bool) -> Iterator[tuple[Path, int]]:
    """A new file beside the target, which nobody else can read, and which is gone at the end if it was not renamed."""
    _check_target(target, force=force)
    part = target.with_name(f"{target.name}.part")
    fd = _lock_new(part)
    try:
        yield part, fd
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    finally:
        os.close(fd)


def _check_target(target: Path, *, force: bool) -> None:
    try:
        found = os.stat(target)
    except FileNotFoundError:
        return
    except OSError as error:
        raise Failed(f"{target}: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise Misuse(f"{target} is not a file: name one, or use - for stdout")
    if not force:
        raise Misuse(f"{target} exists already: name another file, or write over it with --force")
    if _is_store(target):  # its daemon would go on writing to a file without a name, and all of that would be lost
        raise Misuse(
            f"{target} belongs to a queue, and is no backup: name another file (`stoker restore` puts one back)"
        )


def _is_store(target: Path) -> bool:
    """By the lock that whoever opens a store makes beside it, and never deletes."""
    real = target.resolve()
    name = next((real.name.removesuffix(end) for end in _OF_A_STORE if real.name.endswith(end)), real.name)
    return real.with_name(f"{name}.lock").exists()


def _lock_new(part: Path) -> int:
    """What an earlier command left there when it was killed is used again; one that is at work is not disturbed."""
    import fcntl

    try:
        fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Failed(f"cannot make {part}: {error.strerror}; nothing was copied") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise Failed(f"another command writes {part} just now: wait for its end, or name another file") from None
    os.fchmod(fd, 0o600)
    os.ftruncate(fd, 0)
    return fd


def _check(part: Path) -> None:
    from supervisor.daemon import offline

    with as_sentences():
        offline.check(part)


def _name(part: Path, target: Path, *, force: bool) -> None:
    try:
        if force:
            os.replace(part, target)
        else:
            os.link(part, target)  # unlike a rename it never replaces what came there meanwhile
            part.unlink()
        folder = os.open(target.absolute().parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise Failed(f"cannot give the backup the name {target}: {error.strerror}; nothing was kept") from None
