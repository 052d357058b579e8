"""The log in systemd's journal: whole, never in the way, and nothing lost that is not counted."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.config.model import NANOS, Rate
from supervisor.daemon import journald as module
from supervisor.daemon import logs
from supervisor.daemon.journal_limit import USUAL_LIMIT, rate_limit
from supervisor.daemon.journald import OVER_LIMIT, TOO_BUSY, Journal, is_journal
from supervisor.errors import StartError
from tests.crash.house import until
from tests.journal import Entry, Journald, journald


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Journald]:
    with journald(tmp_path) as one:
        yield one


@pytest.fixture
def log(other: Journald, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Events go to it."""
    monkeypatch.setattr(logs, "own_rate_limit", lambda: None)
    with open(os.devnull, "w") as nowhere:
        sink = logs.configure("info", "journal", nowhere, socket=other.path)
        yield structlog.get_logger()
        structlog.reset_defaults()
        sink.close()


@pytest.fixture
def journal(other: Journald) -> Iterator[Journal]:
    """The sink alone; what it has to say of itself goes where the log goes."""
    one = Journal(other.path)
    structlog.configure(
        processors=[logs._entry], logger_factory=lambda *_: one, wrapper_class=structlog.make_filtering_bound_logger(20)
    )
    yield one
    structlog.reset_defaults()
    one.close()


def numbered(number: int, size: int = 0) -> bytes:
    return b"MESSAGE=%d\nX=%s\n" % (number, b"x" * size)


def numbers(entries: list[Entry]) -> list[int]:
    return [int(entry["MESSAGE"]) for entry in entries if entry["MESSAGE"].isdigit()]


def lost(entries: list[Entry]) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in entries:
        if entry.get("STOKER_EVENT") == b"log_lines_lost":
            reason = entry["STOKER_REASON"].decode()
            found[reason] = found.get(reason, 0) + int(entry["STOKER_COUNT"])
    return found


def test_an_event_is_an_entry(log: Any, other: Journald) -> None:
    log.warning("worker_ended", pool="thumbs", pid=4711, job="0199", detail="two\nlines")
    assert other.read() == {
        "MESSAGE": rb"worker_ended pool=thumbs pid=4711 job=0199 detail='two\nlines'",
        "PRIORITY": b"4",
        "SYSLOG_IDENTIFIER": b"stoker",
        "STOKER_EVENT": b"worker_ended",
        "STOKER_POOL": b"thumbs",
        "STOKER_PID": b"4711",
        "STOKER_JOB": b"0199",
        "STOKER_DETAIL": b"two\nlines",
    }


def test_an_exception_is_whole_in_a_field_of_its_own(log: Any, other: Journald) -> None:
    try:
        raise RuntimeError("a bug")
    except RuntimeError as error:
        log.error("request_failed", exc_info=error)
    entry = other.read()
    assert entry["MESSAGE"] == b"request_failed 'RuntimeError: a bug'"
    assert entry["PRIORITY"] == b"3"
    assert entry["STOKER_TRACEBACK"].startswith(b"Traceback (most recent call last):\n")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text())
def test_whatever_is_in_a_field_arrives(log: Any, other: Journald, text: str) -> None:
    log.info("worker_stderr", pool="p", slot=0, line=text)
    assert other.read()["STOKER_LINE"].decode() == text.encode("utf-8", "backslashreplace").decode()


def test_a_level_that_is_off_sends_nothing(log: Any, other: Journald) -> None:
    log.debug("ready")
    assert other.read_all() == []


def test_a_megabyte_in_one_field_arrives(log: Any, other: Journald) -> None:
    text = "line\n" * 200_000
    log.info("ready", status=text)
    assert other.read()["STOKER_STATUS"].decode() == text


def test_what_is_too_large_for_the_socket_goes_as_a_sealed_file(
    log: Any, other: Journald, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "x" * 20_000_000  # more than any send buffer
    descriptors = len(os.listdir("/proc/self/fd"))
    log.info("ready", status=text)
    assert other.read()["STOKER_STATUS"].decode() == text
    assert other.files == 1
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_where_no_file_can_be_had_a_large_entry_is_counted_as_lost(
    journal: Journal, other: Journald, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(module, "REPORT_AFTER", 0)
    monkeypatch.setattr(os, "memfd_create", none)
    journal.info(numbered(1, 20_000_000))
    assert lost([other.read()]) == {module.NO_FILE: 1}


def fill(journal: Journal) -> int:
    """Entries until the journal takes none; how many they were, the one that is held included."""
    count = 0
    while not journal._held:
        journal.info(numbered(count))
        count += 1
    return count


def test_while_journald_reads_nothing_entries_are_held_and_come_in_order(journal: Journal, other: Journald) -> None:
    count = fill(journal)
    for number in range(count, count + 1000):
        journal.info(numbered(number))
    entries: list[Entry] = []
    while len(entries) < count + 1000:
        entries.append(other.read())
    assert numbers(entries) == list(range(count + 1000))
    assert other.read_all() == []


def test_what_is_too_much_to_hold_is_counted_and_said_as_soon_as_journald_reads_again(
    journal: Journal, other: Journald, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPORT_AFTER", 0)
    count = fill(journal)
    for number in range(count, count + 5000):
        journal.info(numbered(number, 1000))
    entries: list[Entry] = []
    while not lost(entries):
        entries.append(other.read())
    arrived = numbers(entries)
    assert count < len(arrived) < count + 5000
    assert arrived == list(range(len(arrived)))
    assert lost(entries) == {TOO_BUSY: count + 5000 - len(arrived)}
    assert journal._size == 0


def test_a_flood_leaves_room_for_what_is_graver(journal: Journal, other: Journald) -> None:
    count = fill(journal)
    for number in range(count, count + 5000):
        journal.info(numbered(number, 1000))
    journal.warning(b"MESSAGE=why\n")
    journal.error(b"MESSAGE=what\n")
    messages = []
    while messages[-2:] != [b"why", b"what"]:
        messages.append(other.read()["MESSAGE"])


def test_no_call_waits_for_journald(journal: Journal, other: Journald) -> None:
    """Were one to wait, it would be for ever: nobody reads."""
    fill(journal)
    done = threading.Event()

    def many() -> None:
        for number in range(20_000):
            journal.info(numbered(number, 1000))
        done.set()

    threading.Thread(target=many, daemon=True).start()
    assert done.wait(20)


def test_a_journald_with_another_socket_at_the_same_path_is_found(
    journal: Journal, other: Journald, tmp_path: Path
) -> None:
    journal.info(numbered(0))
    assert numbers([other.read()]) == [0]
    other.close()
    for number in range(1, 4):
        journal.info(numbered(number))
    with journald(tmp_path) as successor:
        assert numbers([successor.read() for _ in range(3)]) == [1, 2, 3]
        journal.info(numbered(4))
        assert numbers([successor.read()]) == [4]


def test_what_is_held_at_the_end_is_brought_if_journald_reads(journal: Journal, other: Journald) -> None:
    count = fill(journal)
    entries: list[Entry] = []
    reader = threading.Thread(target=lambda: entries.extend(other.read() for _ in range(count)), daemon=True)
    reader.start()
    journal.close()
    reader.join(20)
    assert numbers(entries) == list(range(count))


def test_an_end_does_not_wait_long_for_a_journald_that_does_not_read(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    fill(journal)
    journal.close()


def test_more_than_the_units_rate_limit_is_counted_and_not_sent(
    other: Journald, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPORT_AFTER", 0.05)
    journal._limit = Rate(count=10, period=3600 * NANOS)
    for number in range(8):
        journal.info(numbered(number))
    entries = other.read_all()
    assert numbers(entries) == [0, 1, 2, 3, 4]  # and five more in the course of the hour
    assert lost([other.read()]) == {OVER_LIMIT: 3}
    journal.error(b"MESSAGE=graver\n")  # journald counts by priority
    assert other.read()["MESSAGE"] == b"graver"


@pytest.fixture
def units(tmp_path: Path) -> Path:
    (tmp_path / "units").mkdir()
    return tmp_path / "units"


def says(units: Path, unit: str, burst: int, micros: int) -> None:
    (units / f"log-rate-limit-burst:{unit}").symlink_to(str(burst))
    (units / f"log-rate-limit-interval:{unit}").symlink_to(str(micros))


def test_a_unit_that_says_nothing_has_journalds_usual_limit(units: Path) -> None:
    assert rate_limit("0::/system.slice/stoker.service/daemon\n", units) == USUAL_LIMIT
    assert rate_limit("0::/\n", units) == USUAL_LIMIT


def test_a_units_own_limit_is_found_through_the_cgroup(units: Path) -> None:
    says(units, "stoker.service", 500, 2_000_000)
    limit = Rate(count=500, period=2 * NANOS)
    assert rate_limit("1:name=systemd:/system.slice/stoker.service\n0::/\n", units) == limit
    assert rate_limit("0::/system.slice/stoker.service/daemon\n", units) == limit
    assert rate_limit("0::/user.slice/user@1000.service/app.slice/stoker.service\n", units) == USUAL_LIMIT


def test_a_limit_that_nobody_reaches_is_none(units: Path) -> None:
    says(units, "stoker.service", 1_000_000, 1_000_000)
    assert rate_limit("0::/system.slice/stoker.service\n", units) is None


def test_the_shipped_units_limit_is_none(units: Path) -> None:
    text = (Path(__file__).parents[2] / "examples/systemd/stoker.service").read_text()
    assert "\nLogRateLimitIntervalSec=1s\nLogRateLimitBurst=1000000\n" in text


def test_stderr_is_the_journal_where_systemd_says_so_and_nobody_redirected_it() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        found = os.fstat(ours.fileno())
        environ = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert is_journal(environ, ours.fileno())
        assert not is_journal(environ, theirs.fileno())
        assert not is_journal({}, ours.fileno())
        assert not is_journal({"JOURNAL_STREAM": "nonsense"}, ours.fileno())
    assert not is_journal(environ, -1)


def test_auto_chooses_the_journal_where_stderr_is_it(
    other: Journald, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(tmp_path / "stderr", "w") as stream:
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        for path in (other.path, str(tmp_path / "nowhere")):
            sink = logs.configure("info", "auto", stream, socket=path)
            structlog.get_logger().info("ready")
            structlog.reset_defaults()
            sink.close()
    assert other.read()["STOKER_EVENT"] == b"ready"
    assert '"event": "ready"' in (tmp_path / "stderr").read_text()  # of the second, for want of a journald


def test_json_is_json_in_the_journal_too(other: Journald, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(tmp_path / "stderr", "w") as stream:
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        logs.configure("info", "json", stream, socket=other.path)
        structlog.get_logger().info("ready")
        structlog.reset_defaults()
    assert other.read_all() == []
    assert '"event": "ready"' in (tmp_path / "stderr").read_text()


def test_a_journal_that_is_asked_for_and_not_there_is_a_start_that_fails(tmp_path: Path) -> None:
    with open(os.devnull, "w") as nowhere, pytest.raises(StartError) as refusal:
        logs.configure("info", "journal", nowhere, socket=str(tmp_path / "nowhere"))
    assert refusal.value.message == (
        f'daemon.log_format is "journal", and {tmp_path}/nowhere cannot be reached: No such file or directory; '
        'start journald, or choose "auto"'
    )


def test_threads_may_log_at_the_same_time(journal: Journal, other: Journald) -> None:
    def some(first: int) -> None:
        for number in range(first, first + 500):
            journal.info(numbered(number))

    threads = [threading.Thread(target=some, args=(first,)) for first in range(0, 2000, 500)]
    for thread in threads:
        thread.start()
    found = numbers([other.read() for _ in range(2000)])
    assert sorted(found) == list(range(2000))
    for first in range(0, 2000, 500):
        mine = [number for number in found if first <= number < first + 500]
        assert mine == list(range(first, first + 500))
    until(lambda: journal._thread is None, "the helper's end")
