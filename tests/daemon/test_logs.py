import io
import json
import logging
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from supervisor.daemon import logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_away_from_a_terminal_an_event_is_one_json_object_a_line() -> None:
    stream = io.StringIO()
    logs.configure("info", "auto", stream)
    log = structlog.get_logger("anything")
    log.info("worker_started", pool="thumbs", slot=2, where={"a": [1]}, text="two\nlines, é")
    log.error("pool_degraded")
    first, second = written(stream)
    assert list(first) == ["timestamp", "level", "event", "pool", "slot", "where", "text"]
    assert {**first, "timestamp": None} == {
        "timestamp": None,
        "level": "info",
        "event": "worker_started",
        "pool": "thumbs",
        "slot": 2,
        "where": {"a": [1]},
        "text": "two\nlines, é",
    }
    assert (second["level"], second["event"]) == ("error", "pool_degraded")


def test_times_are_rfc_3339_in_utc() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    structlog.get_logger().info("ready")
    [event] = written(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["timestamp"])
    assert abs(datetime.fromisoformat(event["timestamp"]) - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level_hides_what_is_below_it(level: str, seen: list[str]) -> None:
    stream = io.StringIO()
    logs.configure(level, "json", stream)
    log = structlog.get_logger()
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)("ready")
    assert [event["level"] for event in written(stream)] == seen


def test_what_is_hidden_is_not_even_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a hidden event was built")

    monkeypatch.setattr(logs, "_head", fail)
    logs.configure("info", "json", io.StringIO())
    log = structlog.get_logger()
    log.debug("ready")
    with pytest.raises(AssertionError):
        log.info("ready")


def test_bound_fields_are_in_every_event() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    log = structlog.get_logger().bind(pool="thumbs")
    log.info("worker_started", slot=1)
    assert [(event["pool"], event["slot"]) for event in written(stream)] == [("thumbs", 1)]


def test_an_exception_is_told_whole_in_json() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    log = structlog.get_logger()
    try:
        raise RuntimeError("a bug")
    except RuntimeError as error:
        log.exception("request_failed")
        log.error("request_failed", exc_info=error)
    for event in written(stream):
        assert event["level"] == "error"
        assert event["exception"].startswith("Traceback (most recent call last):")
        assert event["exception"].endswith("RuntimeError: a bug")


def test_what_json_cannot_hold_is_shown_some_other_way() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    structlog.get_logger().info("worker_stderr", line=b"\xff", at={1, 2})
    [event] = written(stream)
    assert (event["line"], event["at"]) == ("b'\\xff'", "{1, 2}")


def test_on_a_terminal_an_event_is_text_in_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    logs.configure("info", "auto", stream)
    structlog.get_logger().info("worker_started", pool="thumbs")
    assert "worker_started" in stream.getvalue()
    assert "\x1b[" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    logs.configure("info", "auto", stream)
    structlog.get_logger().info("worker_started", pool="thumbs")
    assert "\x1b" not in stream.getvalue()


def test_console_can_be_asked_for_anywhere_and_json_too() -> None:
    plain, terminal = io.StringIO(), Terminal()
    logs.configure("info", "console", plain)
    structlog.get_logger().info("worker_started", pool="thumbs")
    assert re.fullmatch(r"\S+Z \[info +\] worker_started +pool=thumbs\n", plain.getvalue())
    logs.configure("info", "json", terminal)
    structlog.get_logger().info("worker_started", pool="thumbs")
    assert written(terminal)[0]["pool"] == "thumbs"


def test_a_terminal_gets_no_control_characters_from_workers() -> None:
    stream = io.StringIO()
    logs.configure("info", "console", stream)
    structlog.get_logger().info("worker_stderr", line="\x1b[2Jgone", other="\x1b]0; title\x07")
    assert "\x1b" not in stream.getvalue()
    assert r"line='\x1b[2Jgone'" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_an_exception_on_a_terminal_shows_no_local_variables() -> None:
    stream = io.StringIO()
    logs.configure("info", "console", stream)
    secret = "payload" * 3
    try:
        raise RuntimeError(f"{len(secret)}")
    except RuntimeError:
        structlog.get_logger().exception("request_failed")
    assert "RuntimeError: 21" in stream.getvalue()
    assert secret not in stream.getvalue()


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("format", ["json", "console"])
def test_a_log_that_cannot_be_written_harms_nobody(format: str) -> None:
    logs.configure("info", format, Full())
    structlog.get_logger().info("ready")
    closed = io.StringIO()
    logs.configure("info", format, closed)
    closed.close()
    structlog.get_logger().info("ready")


def test_what_trio_says_of_failing_accepts_is_one_event_and_no_traceback() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    for _ in range(5):
        try:
            raise OSError(24, "Too many open files")
        except OSError:
            logging.getLogger("trio.serve_listeners").exception("accept failed")
    [event] = written(stream)
    assert event["event"] == "accept_failed"
    assert "Too many open files" in event["error"]
