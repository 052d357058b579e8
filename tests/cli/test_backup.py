"""stoker backup and stoker restore: what they write where, and what they say when they cannot."""

import base64
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.cli import configuration
from supervisor.store.sqlite import open_sqlite
from supervisor.store.sqlite.inspecting import check
from tests.cli.conftest import Run, Start
from tests.cli.scripted import LastWords, Refuse, Say, ScriptedDaemon
from tests.store.support import add

CONFIG = """
[daemon]
socket = "s"
state_dir = "state"
[pools.thumbs]
command = ["cat"]
"""


@pytest.fixture(autouse=True)
def configured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "SYSTEM_CONFIG", folder / "etc" / "stoker.toml")
    Path("stoker.toml").write_text(CONFIG)


@pytest.fixture
def database(folder: Path) -> Path:
    """Of a daemon that was stopped."""
    path = folder / "state" / "stoker.db"
    store = open_sqlite(path)
    store.recover(0, max_interruptions=1)
    for _ in range(3):
        add(store)
    store.close()
    return path


@pytest.fixture
def sent(database: Path) -> bytes:
    """A store as a daemon would send it."""
    return database.read_bytes()


def stream(data: bytes, size: int = 10_000) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "copying", {"bytes": 1, "of": len(data)}
    for at in range(0, len(data), size):
        yield "chunk", {"at": at, "data": base64.b64encode(data[at : at + size]).decode()}
    yield "complete", {"bytes": len(data), "jobs": 3, "running": 0, "schema": 2, "seconds": 0.5}


def lines(told: Iterator[tuple[str, dict[str, Any]]], id: int = 1) -> bytes:
    answer = {"jsonrpc": "2.0", "id": id, "result": {"version": "9.9", "bytes": 1}}
    notifications = [{"jsonrpc": "2.0", "method": method, "params": params} for method, params in told]
    return b"".join(json.dumps(one).encode() + b"\n" for one in [answer, *notifications])


def says(daemon: ScriptedDaemon, told: Iterator[tuple[str, dict[str, Any]]], end: type[Exception] = Say) -> None:
    words = lines(told)

    def answer(_: object) -> None:
        raise end(words)

    daemon.on("backup", answer)


def test_the_daemons_copy_gets_its_name_when_it_is_whole(daemon: ScriptedDaemon, sent: bytes, stoker: Run) -> None:
    says(daemon, stream(sent))
    result = stoker("backup", "copy")
    assert result.exit_code == 0
    assert result.stdout.startswith("copy: 3 jobs, ")
    assert result.stdout.endswith("in 0.5 s, store version 2\n")
    assert Path("copy").read_bytes() == sent
    assert stat.S_IMODE(os.stat("copy").st_mode) == 0o600
    assert not Path("copy.part").exists()


def test_programs_get_its_figures(daemon: ScriptedDaemon, sent: bytes, stoker: Run, folder: Path) -> None:
    says(daemon, stream(sent))
    told = json.loads(stoker("backup", "copy", "--json").stdout)
    assert told == {
        "file": str(folder / "copy"),
        "bytes": len(sent),
        "jobs": 3,
        "running": 0,
        "schema": 2,
        "seconds": 0.5,
        "version": "9.9",
        "daemon": True,
    }


def test_an_existing_file_is_written_over_only_when_that_was_said(
    daemon: ScriptedDaemon, sent: bytes, stoker: Run
) -> None:
    Path("copy").write_text("mine")
    result = stoker("backup", "copy")
    assert result.exit_code == 2
    assert "exists already" in result.stderr
    assert daemon.calls == []
    says(daemon, stream(sent))
    assert stoker("backup", "--force", "copy").exit_code == 0
    assert Path("copy").read_bytes() == sent


def test_a_store_is_never_written_over(database: Path, daemon: ScriptedDaemon, sent: bytes, stoker: Run) -> None:
    says(daemon, stream(sent))
    before = database.read_bytes()
    Path("link").symlink_to(database)
    for name in (str(database), f"{database}-wal", f"{database}.lock", "link"):
        Path(name).touch()
        result = stoker("backup", "--force", name)
        assert (result.exit_code, "is no backup: name another file" in result.stderr) == (2, True), name
    assert daemon.calls == []
    assert database.read_bytes() == before


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda sent: stream(b"\0" * 4096 + sent[4096:]), "is not a SQLite database"),
        (lambda sent: [*stream(sent)][:-2] + [*stream(sent)][-1:], "bytes came: nothing was kept"),
        (lambda sent: [*stream(sent)][:1] + [*stream(sent)][2:], "something else than the copy's next part"),
        (lambda sent: [("failed", {"code": "store_unavailable", "message": "the disk is full"})], "the disk is full"),
    ],
)
def test_what_is_not_whole_is_not_kept(
    daemon: ScriptedDaemon, sent: bytes, stoker: Run, spoil: Any, words: str
) -> None:
    says(daemon, spoil(sent))
    result = stoker("backup", "copy")
    assert result.exit_code == 1
    assert words in result.stderr
    assert not Path("copy").exists()
    assert not Path("copy.part").exists()


def test_a_daemon_that_goes_away_in_the_middle_leaves_no_file(daemon: ScriptedDaemon, sent: bytes, stoker: Run) -> None:
    says(daemon, iter([*stream(sent)][:2]), LastWords)
    result = stoker("backup", "copy")
    assert result.exit_code == 3
    assert not Path("copy.part").exists()


def test_a_refusal_is_passed_on(daemon: ScriptedDaemon, stoker: Run) -> None:
    def refuse(_: object) -> None:
        raise Refuse("conflict", "a backup is being made already")

    daemon.on("backup", refuse)
    result = stoker("backup", "copy")
    assert (result.exit_code, result.stderr) == (1, "stoker: a backup is being made already\n")
    assert not Path("copy.part").exists()


def test_stdout_gets_the_copy_and_nothing_else(daemon: ScriptedDaemon, sent: bytes, start: Start) -> None:
    says(daemon, stream(sent))
    with open("piped", "wb") as out, start("backup", "-", "--json", stdout=out) as process:
        _, words = process.communicate(timeout=60)
    assert Path("piped").read_bytes() == sent
    assert json.loads(words.removeprefix("stoker: "))["jobs"] == 3


def test_a_reader_that_leaves_ends_it_quietly(daemon: ScriptedDaemon, sent: bytes, start: Start) -> None:
    says(daemon, stream(sent))
    reading, writing = os.pipe()
    os.close(reading)
    with start("backup", "-", stdout=writing) as process:
        _, words = process.communicate(timeout=60)
    os.close(writing)
    assert (process.returncode, words) == (141, "")


def test_a_stdout_that_is_closed_gets_none(database: Path) -> None:
    script = f"{sys.executable} -m supervisor backup - -c stoker.toml >&-"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "stdout is closed" in done.stderr) == (2, True)


@pytest.mark.usefixtures("terminal")
def test_a_terminal_gets_no_database(daemon: ScriptedDaemon, stoker: Run) -> None:
    result = stoker("backup", "-")
    assert (result.exit_code, "no text for a terminal" in result.stderr) == (2, True)


def test_a_place_that_takes_no_file_is_said(daemon: ScriptedDaemon, stoker: Run) -> None:
    Path("folder").mkdir()
    assert "is not a file" in stoker("backup", "folder").stderr
    assert "cannot make nosuch/copy.part" in stoker("backup", "nosuch/copy").stderr
    Path("copy.part").symlink_to("elsewhere")  # in a folder where others may write
    assert stoker("backup", "copy").exit_code == 1
    assert not Path("elsewhere").exists()


def test_without_a_daemon_it_comes_from_the_file(database: Path, stoker: Run) -> None:
    result = stoker("backup", "copy")
    assert result.exit_code == 0
    assert "of a store without a daemon" in result.stdout
    assert check(Path("copy"), deep=True).jobs == 3
    assert {entry.name for entry in database.parent.iterdir()} == {"stoker.db", "stoker.db.lock"}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_said(database: Path, daemon: ScriptedDaemon, sent: bytes, start: Start) -> None:
    says(daemon, stream(sent))
    for options in ([], ["--socket", "nosuch"]):  # with a daemon, and without
        with (
            open("/dev/full", "wb") as full,
            start("backup", "-", *options, "-c", "stoker.toml", stdout=full) as process,
        ):
            _, words = process.communicate(timeout=60)
        assert (process.returncode, words) == (1, "stoker: cannot write the output: No space left on device\n")


def test_without_a_daemon_and_without_a_store_there_is_nothing_to_copy(stoker: Run) -> None:
    result = stoker("backup", "copy")
    assert (result.exit_code, "no daemon answers" in result.stderr) == (3, True)
    Path("stoker.toml").unlink()
    assert stoker("backup", "copy").exit_code == 3
    assert not Path("copy.part").exists()


def test_who_may_not_see_the_store_hears_of_the_socket(
    database: Path, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", closed)
    result = stoker("backup", "copy", "-c", "stoker.toml")
    assert (result.exit_code, "no daemon answers at " in result.stderr) == (3, True)


def test_a_restored_store_is_the_backups_and_the_old_one_is_kept(database: Path, stoker: Run) -> None:
    stoker("backup", "copy")
    database.unlink()
    store = open_sqlite(database)
    store.close()
    result = stoker("restore", "copy")
    assert result.exit_code == 0
    assert result.stdout.startswith("restored: 3 jobs, ")
    assert "before-restore-" in result.stdout
    assert check(database, deep=True).jobs == 3
    told = json.loads(stoker("restore", "--json", "copy").stdout)
    assert (told["jobs"], check(Path(told["aside"]), deep=True).jobs) == (3, 3)


def test_a_backup_can_be_checked_without_being_restored(database: Path, stoker: Run) -> None:
    stoker("backup", "copy")
    before = database.read_bytes()
    Path("stoker.toml").unlink()  # it takes no daemon's place to look at a file
    assert stoker("restore", "--check", "copy").stdout.startswith("copy is whole: 3 jobs")
    assert json.loads(stoker("restore", "--dry-run", "--json", "copy").stdout)["jobs"] == 3
    with open("copy", "r+b") as file:
        file.truncate(8192)
    assert stoker("restore", "--check", "copy").exit_code == 1
    assert stoker("restore", "--check", "nosuch").exit_code == 1
    assert stoker("restore", "--check", "-").exit_code == 2
    assert database.read_bytes() == before


def test_a_backup_comes_through_a_pipe(database: Path, start: Start, stoker: Run) -> None:
    stoker("backup", "copy")
    with (
        subprocess.Popen(["cat", "copy"], stdout=subprocess.PIPE) as cat,
        start("restore", "-", stdin=cat.stdout) as process,
    ):
        told, words = process.communicate(timeout=60)
    assert (process.returncode, words) == (0, "")
    assert told.startswith("restored: 3 jobs")


def test_the_file_of_a_killed_daemon_is_not_taken_for_a_backup(database: Path, stoker: Run, folder: Path) -> None:
    store = open_sqlite(database)
    result = stoker("restore", "state/stoker.db")
    store.close()
    assert (result.exit_code, "is still in stoker.db-wal" in result.stderr) == (1, True)


def test_what_cannot_be_restored_says_why(database: Path, stoker: Run) -> None:
    Path("notes").write_text("notes")
    result = stoker("restore", "notes")
    assert (result.exit_code, "not a SQLite database" in result.stderr) == (1, True)
    assert "is a folder" in stoker("restore", "state").stderr
    Path("empty").touch()
    assert stoker("restore", "--check", "empty").stderr == "stoker: empty is empty\n"
    Path("half").write_bytes(database.read_bytes()[:50_000])
    assert stoker("restore", "half").stderr.startswith("stoker: the backup is damaged: ")
    Path("stoker.toml").unlink()
    assert stoker("restore", "notes").exit_code == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_root_restores_for_the_daemons_user(database: Path, stoker: Run, folder: Path) -> None:
    stoker("backup", "copy")
    nobody = 65534
    folder.chmod(0o755)
    for path in (database.parent, *database.parent.iterdir()):
        os.chown(path, nobody, nobody)
    assert stoker("restore", "copy").exit_code == 0
    assert {(path.stat().st_uid, path.stat().st_gid) for path in database.parent.iterdir()} == {(nobody, nobody)}
    assert stoker("backup", "again").exit_code == 0
    assert os.stat("again").st_uid == 0
    folder.chmod(0o700)  # as /var/lib/private is, in which systemd keeps what belongs to users that come and go
    assert stoker("restore", "copy").exit_code == 0
    assert {(path.stat().st_uid, path.stat().st_gid) for path in database.parent.iterdir()} == {(nobody, nobody)}
    assert os.geteuid() == 0
