"""The report: for people, for programs; and what is wrong with a command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.text import compact
from supervisor.conformance.catalogue import TRIALS
from supervisor.conformance.payloads import LARGE, NUMBERS, ODD_IDS, TYPES, UNICODE, large, nested
from supervisor.conformance.surroundings import surroundings
from tests.conformance.conftest import Check, naughty, stoker
from tests.workers import command

HEAVY = ("trio", "msgspec", "structlog", "rich", "apsw", "supervisor.conformance")


def test_a_trial_is_a_line_and_what_is_wrong_is_explained_below_it() -> None:
    result = stoker("--only", "plain", "--only", "ids", "--only", "eof", "--", *naughty("leaves_badly", "3"))
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("checking ")
    assert lines[1] == "ok   plain      20 jobs ok"
    assert lines[2] == "ok   ids        each of 10 odd ids came back as it was"
    assert lines[3] == "warn eof        it exited with code 3 when its stdin ended"
    assert lines[4] == "        wanted  when stdin ends, the worker exits, with code 0"
    assert lines[5].startswith(
        "         cause  the end of stdin is treated as an error; it is how a worker is told to go; in"
    )
    assert lines[6] == "note: not everything was tried, as --only or --skip said"
    assert lines[7].startswith("2 ok, 1 warned, in ")
    assert len(lines) == 8


def test_a_failure_is_exit_1_and_has_the_end_of_stderr() -> None:
    result = stoker("--only", "start", "--", *command("boots_badly"))
    assert result.exit_code == 1
    assert "\nFAIL start      it exited with code 1" in result.stdout
    assert "\n        stderr  Traceback (most recent call last):\n" in result.stdout
    assert "\n                ModuleNotFoundError: No module named 'nosuch'\n" in result.stdout
    assert "\n1 failed, in " in result.stdout


def test_warnings_fail_with_strict(check: Check) -> None:
    report = check(naughty("leaves_badly", "3"), "--only", "eof", "--strict")
    assert (report.exit_code, report.document["ok"], report.of("eof")) == (1, False, ("warn", "exit_code"))


def test_json_has_the_same_members_whatever_happened(check: Check) -> None:
    argv = command("garbage")
    report = check(argv, "--quick", "--payload", '{"line":"hello"}')
    assert set(report.document) == {"ok", "command", "counts", "trials", "notes"}
    assert (report.document["ok"], report.document["command"]) == (False, argv)
    assert report.document["counts"] == {"ok": 0, "warn": 0, "fail": 1, "skip": 20}
    members = {"trial", "level", "kind", "found", "wants", "cause", "stderr", "figures", "secs"}
    assert all(set(trial) == members for trial in report.document["trials"])
    assert [trial["trial"] for trial in report.document["trials"]] == [trial.name for trial in TRIALS]
    failed, skipped = report.trials["start"], report.trials["flush"]
    assert (failed["level"], failed["kind"], skipped["level"], skipped["kind"]) == ("fail", "garbage", "skip", None)
    assert skipped["wants"] is skipped["cause"] is skipped["stderr"] is None


def test_on_a_terminal_it_is_coloured_and_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.cli.output.is_terminal", lambda: True)
    monkeypatch.setattr("supervisor.cli.check_worker_page._watched", lambda: True)
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    result = stoker("--only", "plain", "--", *command("answers_once_and_exits"))
    shown = result.output.split("\r\x1b[K")
    assert shown[1] == "…    plain"
    assert shown[2].startswith("\x1b[31mFAIL\x1b[0m plain      given the payload ")
    assert max(len(line) for line in shown[2].replace("\x1b[31m", "").replace("\x1b[0m", "").splitlines()) <= 60


@pytest.mark.parametrize("option", ["--strict", "--json"])
def test_the_trial_that_runs_is_named_to_who_watches_stderr_while_the_report_goes_elsewhere(option: str) -> None:
    ours, theirs = os.openpty()
    argv = [sys.executable, "-m", "supervisor", "check-worker", option, "--only", "plain", "--", *command("echo")]
    env = {**os.environ, "TERM": "xterm"}
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=theirs, text=True, env=env, timeout=60, check=False)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    os.close(theirs)
    assert (done.returncode, shown) == (0, "\r\x1b[K…    plain\r\x1b[K")
    assert "\x1b" not in done.stdout


def test_what_was_not_tried_for_one_reason_is_one_line() -> None:
    shown = stoker("--", *command("boots_badly")).stdout.splitlines()
    assert [line for line in shown if line.startswith("skip")] == ["skip 20 others  not tried, since start failed"]
    shown = stoker("--only", "start", "--only", "plain", "--", *command("boots_badly")).stdout.splitlines()
    assert [line for line in shown if line.startswith("skip")] == ["skip plain      not tried, since start failed"]


def test_what_happens_to_plain_jobs_too_is_not_explained_by_odd_ones(check: Check) -> None:
    trials = [f"--only={name}" for name in ("start", "plain", "unicode", "numbers", "deep", "many")]
    report = check(naughty("dies_after", "1"), *trials)
    assert report.of("plain") == ("fail", "exited")
    assert "an error that nothing catches" in report.words("plain")
    for name in ("unicode", "deep", "many"):
        assert report.trials[name]["cause"] == "as in plain, where it is given nothing special: mend that first"


def test_what_the_worker_says_cannot_steer_the_terminal() -> None:
    result = stoker("--only", "start", "--payload", json.dumps({"line": "\x1b[2J\u202e"}), "--", *command("garbage"))
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout


def test_a_worker_that_only_ever_refuses_is_told_about_payloads() -> None:
    argv = [*naughty("refuses")]
    assert "note: it never replied ok: with --payload" in stoker("--only", "plain", "--", *argv).stdout
    assert "never replied ok" not in stoker("--only", "plain", "--payload", "1", "--", *argv).stdout


def test_payloads_come_from_a_file_one_a_line(check: Check, tmp_path: Path) -> None:
    file = tmp_path / "payloads.jsonl"
    file.write_text('{"message": "one"}\n\n{"message": "two"}\n')
    report = check(command("error"), "--only", "plain", "--payload", "null", "--payloads", str(file))
    assert "given '{\"message\":\"one\"}', it replied error: 'one'" in report.words("plain")
    assert "20 jobs: 13 error, 7 ok" in report.words("plain")


def test_the_program_sees_what_a_daemon_would_give_it(check: Check, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    options = ("--cwd", str(tmp_path / "here"), "--env", "COLOUR=blue", "--env", "EMPTY=", "--only", "plain")
    payload = ("--payload", json.dumps(str(tmp_path / "seen")))
    report = check(naughty("tells"), *options, *payload)
    assert report.of("plain") == ("ok", None)
    seen = json.loads((tmp_path / "seen").read_text())
    env = seen["env"]
    assert (env["COLOUR"], env["EMPTY"]) == ("blue", "")
    assert (env["STOKER_PROTOCOL"], env["STOKER_POOL"], env["STOKER_SLOT"]) == ("1", "check", "0")
    assert seen["cwd"] == str(tmp_path / "here")
    assert seen["leads_session"]
    assert list(seen["request"]) == ["id", "payload", "queue", "attempt", "timeout_secs"]


def test_a_variable_that_makes_the_caller_alone_flush_is_left_out_and_named(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    argv = [sys.executable, "-S", naughty("buffered")[-1]]
    report = check(argv, "--only", "flush", "--timeout", "500ms")
    assert report.of("flush") == ("fail", "buffered")
    assert any(note.startswith("it was tried without PYTHONUNBUFFERED, set here") for note in report.document["notes"])
    report = check(argv, "--only", "flush", "--env", "PYTHONUNBUFFERED=1")
    assert report.of("flush") == ("ok", None)
    assert not any("PYTHONUNBUFFERED" in note for note in report.document["notes"])


def test_under_stdbuf_a_worker_is_tried_without_it() -> None:
    inherited = {"_STDBUF_O": "L", "LD_PRELOAD": "/usr/lib/libstdbuf.so:/lib/own.so", "PATH": "/bin"}
    environ, left_out = surroundings(inherited)
    assert (environ, left_out) == ({"LD_PRELOAD": "/lib/own.so", "PATH": "/bin"}, ("_STDBUF_O",))


def test_the_list_names_every_trial() -> None:
    shown = stoker("--list")
    assert shown.exit_code == 0
    assert [line.split()[0] for line in shown.stdout.splitlines()[1:]] == [trial.name for trial in TRIALS]
    listed = json.loads(stoker("--list", "--json").stdout)
    assert [set(one) for one in listed] == [{"trial", "what", "wants"}] * len(TRIALS)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "what is to be checked? write the command behind --: stoker check-worker -- CMD…"),
        (("--", "./nosuch"), "cannot start './nosuch': there is no such file"),
        (("--", "no-such-program"), "cannot start 'no-such-program': it is not in PATH"),
        (("--", "./notes.txt"), "cannot start './notes.txt': it is not an executable file"),
        (("--cwd", "nosuch", "--", "sh"), "--cwd: {here}/nosuch is not a folder; name the one that the worker is to"),
        (("--payload", "{path: 1}", "--", "sh"), "--payload is not JSON: Expecting property name"),
        (("--payload", "", "--", "sh"), "--payload is empty: write null where there is nothing to say"),
        (("--payload", "[" * 2000, "--", "sh"), "--payload cannot be used: nested too deeply"),
        (("--payload", "[" * 996 + "]" * 996, "--", "sh"), "--payload cannot be used: nested too deep"),
        (("--payloads", "nosuch", "--", "sh"), "--payloads: cannot read nosuch: No such file or directory"),
        (("--payloads", "notes.txt", "--", "sh"), "--payloads: line 2 of notes.txt is not JSON: Expecting value at"),
        (("--payloads", "empty.txt", "--", "sh"), "--payloads: empty.txt is empty; write one payload a line"),
        (("--env", "COLOUR", "--", "sh"), "--env 'COLOUR': write NAME=VALUE, with a name of letters"),
        (("--env", "STOKER_SLOT=1", "--", "sh"), "--env STOKER_SLOT: names that begin with STOKER_ are stoker's own"),
        (("--only", "memroy", "--", "sh"), "--only: there is no trial 'memroy'; did you mean 'memory'?"),
        (("--skip", "xyzzy", "--", "sh"), "--skip: there is no trial 'xyzzy'; --list shows them"),
        (("--only", "flush", "--skip", "flush", "--", "sh"), "--skip leaves out all that --only names: nothing to try"),
        ((*(f"--skip={trial.name}" for trial in TRIALS), "--", "sh"), "--skip leaves out every trial: nothing to try"),
        (("--timeout", "soon", "--", "sh"), "'soon' is not a duration"),
    ],
)
def test_a_command_that_cannot_be_followed_is_exit_2_and_says_why(
    arguments: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("1\nhello\n")
    (tmp_path / "empty.txt").write_text("\n")
    result = stoker(*arguments)
    assert result.exit_code == 2
    assert says.format(here=tmp_path) in result.stderr
    assert "Traceback" not in result.stderr


def test_options_of_the_program_are_its_own() -> None:
    result = stoker("--only", "plain", *naughty("leaves_badly", "--json", "--only"))
    assert result.stdout.splitlines()[1] == "ok   plain      20 jobs ok"


def test_its_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv[1:] = ['check-worker', '--help']\n"
        "from supervisor.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"assert not [name for name in {HEAVY!r} if name in sys.modules]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("text", [*(text for _, text in UNICODE), *TYPES, *NUMBERS])
def test_what_is_sent_is_what_the_daemon_would_pass_on(text: str) -> None:
    assert compact(text.encode()) == text.encode()
    json.loads(text)


def test_the_odd_payloads_are_what_they_are_said_to_be() -> None:
    assert len(large()) == LARGE
    assert compact(large()) == large()
    assert compact(nested(900)) == nested(900)
    assert [nested(levels).count(b"[") + nested(levels).count(b"{") for levels in (2, 3, 100)] == [2, 3, 100]
    assert all(len(job_id) == 36 and set(job_id) <= set("0123456789abcdef-") for job_id in ODD_IDS)


def test_no_file_is_left_open(check: Check) -> None:
    check(command("echo"), "--only", "plain")
    before = os.listdir("/proc/self/fd")
    check(command("echo"), "--only", "plain", "--only", "speed", "--jobs", "100")
    check(command("garbage"), "--only", "plain", "--payload", '{"line":"x"}')
    assert len(os.listdir("/proc/self/fd")) == len(before)
