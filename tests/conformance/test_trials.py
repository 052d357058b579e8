"""Every trial, provoked: a small program that does one thing wrong, and what the report says of it."""

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conformance.conftest import Check, naughty
from tests.workers import command

SED = r's/^\{"id":"([^"]*)".*/{"id":"\1","status":"ok"}/'


class Case(NamedTuple):
    """A program, what it is given, and what is said of it: words that stand in the report."""

    trial: str
    argv: list[str]
    says: tuple[str, ...]
    kind: str
    level: str = "fail"
    options: tuple[str, ...] = ()


IN_TIME = ("--timeout", "500ms", "--boot-timeout", "20s")
LATE = ("--timeout", "200ms", "--boot-timeout", "600ms")
WHATEVER = ("--payload", "1")

CASES = (
    Case(
        "start",
        command("boots_badly"),
        ("it exited with code 1 without reading its request", "it does not come up, ", "No module named 'nosuch'"),
        "exited",
    ),
    Case(
        "start",
        command("garbage"),
        (
            "not a reply",
            "'Loading model...'",
            "stdout has replies and nothing else",
            "sys.stdout = sys.stdout, sys.std",
        ),
        "garbage",
        options=("--payload", '{"line":"Loading model..."}'),
    ),
    Case(
        "start",
        command("garbage"),
        ("not a reply", "stdout has replies and nothing else", "print it without indentation, on one line"),
        "several_lines",
        options=("--payload", '{"line":"{\\n  \\"status\\": \\"ok\\"\\n}"}'),
    ),
    Case("start", ["cat"], ("not a reply", "it echoed the request: the reply needs a status"), "request_echoed"),
    Case(
        "start",
        command("desync"),
        ("replied to job 'x' while it had job", "a reply has the id of its request", "echo it as it came"),
        "desync",
        options=("--payload", '{"as":"x"}'),
    ),
    Case(
        "start",
        command("two_replies"),
        ("wrote a line while it had no job", '"second"', "one final reply", "it answers twice"),
        "extra",
        options=("--payload", '{"second":true}'),
    ),
    Case(
        "start",
        command("oversize"),
        ("a line of more than max_line = 16777216 bytes", "write a large result to a file"),
        "oversize",
        options=("--payload", '{"bytes":17000000}'),
    ),
    Case(
        "start",
        command("half_line"),
        ("it wrote no whole line", 'but the beginning of one: \'{"id"', "ended by a line feed"),
        "half_line",
        options=(*IN_TIME, *WHATEVER),
    ),
    Case(
        "start",
        command("never_reads"),
        (
            "it read nothing of its request within 0.8",
            "(--boot-timeout and --timeout)",
            "a worker reads its request",
            "does not read its stdin",
        ),
        "unread",
        options=LATE,
    ),
    Case(
        "start",
        command("never_answers"),
        ("it read its request and wrote no reply within ", "nor when stdin was closed", "raise --timeout"),
        "timeout",
        options=LATE,
    ),
    Case(
        "start",
        naughty("silent"),
        ("it read its request and said nothing for 0.5", "exited with code 0, still without a reply", "never replies"),
        "silent",
        options=IN_TIME,
    ),
    Case("start", command("closes_stdout"), ("it closed its stdout before it replied",), "closed", options=WHATEVER),
    Case("start", command("closes_pipes", "0"), ("it closed its stdin and lives on",), "deaf"),
    Case(
        "flush",
        naughty("buffered"),
        (
            "it wrote nothing for 0.5 s; then stdin was closed, and its reply came at once",
            "a reply in a buffer was never sent",
            "stdout is block-buffered: flush after each line; in Python: print(…, flush=True)",
        ),
        "buffered",
        options=IN_TIME,
    ),
    Case(
        "flush",
        ["sed", "-E", SED],
        ("stdout is block-buffered: flush after each line; in shell: ", "sed -u"),
        "buffered",
        options=IN_TIME,
    ),
    Case(
        "handshake",
        command("echo"),
        ("it did not say that it is ready within 0.3 s (--boot-timeout)", "the first line is", "raise --boot-timeout"),
        "not_ready",
        options=("--ready", "--boot-timeout", "300ms"),
    ),
    Case(
        "handshake",
        naughty("buffered", "--ready"),
        ("it said that it is ready only when stdin was closed", "block-buffered"),
        "buffered",
        options=("--ready", "--boot-timeout", "600ms"),
    ),
    Case(
        "handshake",
        naughty("says_ready", "worker 1.0"),
        ('was to say {"status":"ready"} first', "'worker 1.0'", "a stray print"),
        "garbage",
        options=("--ready",),
    ),
    Case(
        "handshake", command("boots_badly"), ("before it was ready", "does not come up"), "exited", options=("--ready",)
    ),
    Case(
        "plain",
        naughty("says_ready", "--twice"),
        ("ready", "only the first line of all", "in front of the loop"),
        "ready_late",
    ),
    Case(
        "plain",
        command("answers_once_and_exits"),
        ("it exited with code 0 ", "takes one job after the other", "or it ends after one job"),
        "exited",
    ),
    Case(
        "plain",
        command("error"),
        ("given '{\"message\":\"no such file\"}', it replied error: 'no such file'; 20 jobs: 20 error",),
        "refused",
        "warn",
        ("--payload", '{"message": "no such file"}'),
    ),
    Case(
        "plain",
        naughty("sometimes_ids"),
        ("replied without the id, though it had sent ids before", "echo it in every reply"),
        "no_id",
    ),
    Case(
        "plain",
        naughty("no_ids"),
        ("replied without the id, and its pool says require_id = true",),
        "no_id",
        options=("--require-id",),
    ),
    Case(
        "ids",
        naughty("numeric_id"),
        ("given the id 000000000000000000000000000000000000: ", "replied to job '0'", "taken for a number"),
        "desync",
    ),
    Case(
        "unicode",
        naughty("splits_lines"),
        ("given line separators that are none in JSON (U+2028", "str.splitlines() breaks lines at U+2028 too"),
        "exited",
    ),
    Case(
        "unicode",
        naughty("last_id"),
        ("given members called id, status and payload inside the payload", "looked for all over the line"),
        "desync",
    ),
    Case("unicode", naughty("latin1"), ("given accents and scripts", "not UTF-8", "sys.stdout.buffer"), "garbage"),
    Case(
        "types",
        naughty("wants_an_object"),
        ("given the payload 'null'", "any JSON value", "of another shape", "AttributeError: 'NoneType'"),
        "exited",
    ),
    Case(
        "numbers",
        naughty("small_numbers"),
        ("given the payload '9223372036854775808'", "passed on as they were written", "too large for the parser"),
        "exited",
    ),
    Case(
        "numbers",
        naughty("infinity"),
        ("given a number of 5,000 digits", "a number became Infinity", "allow_nan=False"),
        "garbage",
        "warn",
    ),
    Case(
        "deep",
        naughty("shallow"),
        ("given a payload nested 100 levels deep", "must not end the worker", "limit to nesting"),
        "exited",
    ),
    Case(
        "deep",
        naughty("shallow", "--polite"),
        ("it refused a payload nested 100 levels deep, though not one of 2",),
        "refused",
        "warn",
    ),
    Case("large", naughty("short_lines"), ("given a payload of 1 MiB", "buffer of fixed size"), "exited"),
    Case(
        "pieces",
        naughty("one_read"),
        ("given a request in pieces, cut inside a character", "ended by a line feed", "what one read gives"),
        "exited",
    ),
    Case(
        "members",
        naughty("strict_members"),
        ("given a request with members unknown today", "ignore those you do not know", "no other members"),
        "exited",
    ),
    Case(
        "many",
        naughty("loses_requests"),
        ("given job 51 in a row", "may receive the next request at once", "was thrown away"),
        "timeout",
        options=IN_TIME,
    ),
    Case(
        "many",
        naughty("dies_after", "300"),
        ("given job 301 in a row: it exited with code 1 ", "something runs out", "had enough"),
        "exited",
    ),
    Case(
        "many",
        naughty("opens_files"),
        ("1,000 jobs ok, ", "900 descriptors more than after 100 jobs", "not closed"),
        "descriptors",
        "warn",
    ),
    Case(
        "many",
        naughty("leaves_zombies"),
        ("1000 children that it had not waited for",),
        "zombies",
        "warn",
        ("--timeout", "1m"),
    ),
    Case("silence", naughty("heartbeat"), ("'still here'", "a worker says nothing until it is asked"), "extra"),
    Case(
        "silence",
        command("chatter_idle", "--at-boot"),
        ("'worker 1.0 is up'", "says something when it starts"),
        "extra",
    ),
    Case("silence", command("dies_idle"), ("while it had no job",), "exited", options=("--payload", '{"code":3}')),
    Case(
        "eof",
        command("ignores_term"),
        ("it was still there 0.", "when stdin ends, the worker exits", "the loop goes on", "daemon=True"),
        "eof_ignored",
        options=("--payload", "null", "--kill-grace", "200ms"),
    ),
    Case(
        "eof",
        naughty("leaves_badly", "3"),
        ("it exited with code 3 when its stdin ended", "how a worker is told to go"),
        "exit_code",
        "warn",
    ),
    Case("eof", naughty("leaves_badly", "0", "1.1"), ("s to exit when its stdin ended",), "slow_exit", "warn"),
    Case(
        "eof-busy",
        naughty("drops_its_job"),
        ("had a job when its stdin ended, and exited with code 0 without a reply", "finish what was read"),
        "eof_lost",
    ),
    Case(
        "sigterm",
        command("ignores_term"),
        ("idle, it outlived SIGTERM by kill_grace = 0.2 s, and needs SIGKILL", "then it gets SIGKILL"),
        "term_ignored",
        "warn",
        ("--payload", "null", "--kill-grace", "200ms"),
    ),
    Case(
        "memory",
        naughty("keeps_memory", "20000"),
        ("its memory grew by 20,", "for each of the last 1,000 of 5,000 jobs", "something is kept", "tracemalloc"),
        "memory",
    ),
    Case("memory", naughty("keeps_memory", "2500"), ("its memory grew by 2,",), "memory", "warn"),
    Case("speed", naughty("dies_after", "100"), ("it exited with code 1", "had enough"), "exited"),
)


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.trial}-{case.kind}") for case in CASES])
def test_what_is_wrong_is_found_and_explained(case: Case, check: Check) -> None:
    report = check(case.argv, "--quick", *case.options, "--only", case.trial)
    assert report.of(case.trial) == (case.level, case.kind), report.words(case.trial)
    assert report.exit_code == (1 if case.level == "fail" else 0)
    for words in case.says:
        assert words in report.words(case.trial)


def test_a_program_that_does_not_start_again_is_found(check: Check, tmp_path: Path) -> None:
    report = check(naughty("starts_twice", str(tmp_path / "starts")), "--only", "boot")
    assert report.of("boot") == ("fail", "exited")
    assert "a lock, a port or a file is left of the one before" in report.words("boot")
    assert "the port is taken" in report.words("boot")


def test_where_the_first_answer_fails_the_rest_is_not_tried(check: Check) -> None:
    report = check(naughty("buffered"), "--quick", *IN_TIME)
    assert report.of("start") == ("ok", None)
    assert "though not in time: see flush" in report.words("start")
    assert report.of("flush") == ("fail", "buffered")
    rest = [trial for name, trial in report.trials.items() if name not in ("start", "flush")]
    assert {(trial["level"], trial["found"]) for trial in rest} == {("skip", "not tried, since flush failed")}


def test_without_the_handshake_that_was_asked_for_nothing_is_tried(check: Check) -> None:
    report = check(command("echo"), "--quick", "--ready", "--boot-timeout", "300ms")
    assert next(iter(report.trials)) == "handshake"
    assert report.document["counts"] == {"ok": 0, "warn": 0, "fail": 1, "skip": 20}


def test_a_slow_boot_is_no_block_buffer(check: Check) -> None:
    """It is asked before it reads, and answers when stdin is long closed."""
    report = check(naughty("reads_early", "0.6"), "--timeout", "100ms", "--boot-timeout", "20s", "--only", "start")
    assert report.of("start") == ("ok", None)
    assert "its first answer came" in report.words("start")


def test_a_worker_that_says_ready_unasked_is_told_to_have_its_pool_wait_for_it(check: Check) -> None:
    report = check(naughty("says_ready"), "--only", "start", "--only", "handshake")
    assert report.of("handshake") == ("ok", None)
    assert "set ready = true in its pool" in report.words("handshake")


def test_a_worker_without_ids_passes_and_has_nothing_to_echo(check: Check) -> None:
    report = check(naughty("no_ids"), "--only", "plain", "--only", "ids")
    assert (report.of("plain"), report.of("ids")) == (("ok", None), ("skip", None))


def test_a_worker_that_retires_after_each_job_is_replaced_as_often(check: Check) -> None:
    trials = [f"--only={name}" for name in ("start", "plain", "many", "silence", "eof", "sigterm", "memory", "speed")]
    report = check(command("recycle_me"), "--quick", *trials)
    assert report.document["counts"] == {"ok": 6, "warn": 0, "fail": 0, "skip": 2}, report.document
    assert "it had asked 5 times to be replaced" in report.words("many")
    assert "it asks to be replaced after 1 jobs or so" in report.words("memory")


def test_over_descriptors_a_stray_print_does_no_harm(check: Check) -> None:
    trials = [f"--only={name}" for name in ("start", "flush", "plain", "large", "silence", "eof", "speed")]
    report = check(naughty("prints_by_fd"), "--quick", "--channel", "fd", *trials)
    assert report.document["counts"] == {"ok": 7, "warn": 0, "fail": 0, "skip": 0}, report.document
    assert "after file descriptor 3 ended" in report.words("eof")


def test_a_worker_that_does_not_know_of_the_descriptors_is_told_of_them(check: Check) -> None:
    report = check(command("echo"), "--channel", "fd", "--only", "start")
    assert report.of("start") == ("fail", "exited")
    assert "until its file descriptor 3 ends" in report.words("start")
    assert "requests come on file descriptor 3 and replies go to 4" in report.words("start")


def test_garbage_on_the_descriptor_of_replies_is_garbage(check: Check) -> None:
    report = check(naughty("prints_by_fd", "--there"), "--channel", "fd", "--only", "start")
    assert report.of("start") == ("fail", "garbage")
    assert "file descriptor 4 has replies and nothing else" in report.words("start")
    assert "something else than replies is written to file descriptor 4" in report.words("start")
