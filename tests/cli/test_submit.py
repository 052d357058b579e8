"""stoker submit: what is sent, what is printed, and by what it exits."""

import json

import pytest

from supervisor.cli import endings, submit
from tests.cli.conftest import Run
from tests.cli.samples import ID, error, job
from tests.cli.scripted import HangUp, Refuse, ScriptedDaemon

ACCEPTED = {"id": ID, "created": True, "state": "pending"}


def test_the_payload_is_sent_and_the_id_alone_is_printed(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("submit", ACCEPTED)
    result = stoker("submit", "thumbs", '{"path":"a.png"}')
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{ID}\n", "")
    assert daemon.params("submit") == [{"queue": "thumbs", "payload": {"path": "a.png"}}]


def test_without_a_payload_it_is_null(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("submit", ACCEPTED)
    stoker("submit", "thumbs")
    assert daemon.params("submit") == [{"queue": "thumbs", "payload": None}]


def test_a_dash_reads_stdin(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("submit", ACCEPTED)
    stoker("submit", "thumbs", "-", input='\n[1,\n "zwölf"]\n')
    assert daemon.params("submit")[0]["payload"] == [1, "zwölf"]


def test_every_option_goes_into_the_request(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("submit", ACCEPTED)
    result = stoker(
        *(
            "submit",
            "thumbs",
            "1",
            "--priority",
            "-3",
            "--delay",
            "1m30s",
            "--job-timeout",
            "5m",
            "--max-attempts",
            "2",
        ),
        *("--expires-in", "1h", "--client", "shop", "--key", "order-1", "--unique", "u", "--name", "a picture"),
        *("--rate-key", "mail", "--concurrency-key", "7"),
        *("--tag", "x", "--tag", "y", "--backoff", "1s,1m30s,250ms", "--on-conflict", "reject"),
    )
    assert result.exit_code == 0
    assert daemon.params("submit") == [
        {
            "queue": "thumbs",
            "payload": 1,
            "priority": -3,
            "delay_secs": 90.0,
            "timeout_secs": 300.0,
            "max_attempts": 2,
            "backoff": [1.0, 90.0, 0.25],
            "expires_in_secs": 3600.0,
            "client": "shop",
            "key": "order-1",
            "unique": "u",
            "rate_key": "mail",
            "concurrency_key": "7",
            "on_conflict": "reject",
            "name": "a picture",
            "tags": ["x", "y"],
        }
    ]


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("2030-01-31T08:00:00Z", "2030-01-31T08:00:00Z"),
        ("2030-01-31 08:00+02:00", "2030-01-31T06:00:00Z"),
        ("2030-01-31T08:00:00.25Z", "2030-01-31T08:00:00.250000Z"),
    ],
)
def test_run_at_is_sent_in_utc(daemon: ScriptedDaemon, stoker: Run, written: str, sent: str) -> None:
    daemon.on("submit", ACCEPTED)
    stoker("submit", "thumbs", "--run-at", written)
    assert daemon.params("submit")[0]["run_at"] == sent


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--delay", "soon"], "'soon' is not a duration"),
        (["--backoff", "1s,soon"], "'soon' is not a duration"),
        (["--backoff", "1s,"], "'' is not a duration"),
        (["--timeout", "5 apples", "--wait"], "'5 apples' is not a duration"),
        (["--run-at", "tomorrow"], "'tomorrow' is not a time such as"),
        (["--timeout", "5s"], "--timeout is for --wait"),
        (["--delay", "5s", "--run-at", "2030-01-31"], "exclude each other"),
        (["--key", "k"], "--key needs --client"),
        (["--on-conflict", "replace"], "--on-conflict needs --unique"),
        (["--unique", "u", "--on-conflict", "ignore"], "'existing', 'reject', 'replace'"),
        (["--max-attempts", "0"], "--max-attempts"),
        (["--many", "--client", "c", "--key", "k"], "--many would give them to each"),
        (["--many", "{}"], "--many reads the payloads from stdin"),
    ],
)
def test_a_wrong_command_line_is_exit_2_and_reaches_no_daemon(
    daemon: ScriptedDaemon, stoker: Run, arguments: list[str], said: str
) -> None:
    result = stoker("submit", "thumbs", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""
    assert daemon.calls == []


def test_json_prints_the_whole_answer(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("submit", ACCEPTED)
    assert json.loads(stoker("submit", "thumbs", "--json").stdout) == ACCEPTED


def test_an_earlier_job_with_another_payload_is_a_remark_not_an_error(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("submit", {"id": ID, "created": False, "state": "done", "same": False})
    result = stoker("submit", "thumbs", "--client", "c", "--key", "k")
    assert (result.exit_code, result.stdout) == (0, f"{ID}\n")
    assert f"stoker: job {ID} was there before" in result.stderr


@pytest.mark.parametrize(
    ("policy", "answer", "said"),
    [
        ("existing", {"created": False, "same": True}, f"stoker: job {ID} was there before\n"),
        ("replace", {"created": True, "replaced": "0199"}, "stoker: job 0199 is cancelled: this one takes its place\n"),
        ("replace", {"created": True}, ""),
    ],
)
def test_whoever_says_what_to_do_on_a_conflict_is_told_what_was_done(
    daemon: ScriptedDaemon, stoker: Run, policy: str, answer: dict[str, object], said: str
) -> None:
    daemon.on("submit", {"id": ID, "state": "pending", **answer})
    result = stoker("submit", "thumbs", "--unique", "u", "--on-conflict", policy)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{ID}\n", said)


def test_a_conflict_is_exit_1_with_the_daemons_sentence(daemon: ScriptedDaemon, stoker: Run) -> None:
    def refuse(params: dict[str, object]) -> None:
        raise Refuse("conflict", "unique: job 0199 has this value and waits: wait for its end")

    daemon.on("submit", refuse)
    result = stoker("submit", "thumbs", "--unique", "u", "--on-conflict", "reject")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "stoker: unique: job 0199 has this value and waits: wait for its end\n"


def test_wait_prints_the_result_alone(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("submit", ACCEPTED)
    daemon.on("wait", job(result={"width": 40, "note": "breit naïve größer"}))
    result = stoker("submit", "thumbs", "--wait")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == '{"width":40,"note":"breit naïve größer"}\n'
    assert daemon.params("wait") == [{"id": ID}]


def test_wait_with_json_prints_the_job(daemon: ScriptedDaemon, stoker: Run) -> None:
    ended = job()
    daemon.on("submit", ACCEPTED)
    daemon.on("wait", ended)
    assert json.loads(stoker("submit", "thumbs", "--wait", "--json").stdout) == ended


def test_a_failed_job_is_exit_1_with_cause_exit_code_and_stderr(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("submit", ACCEPTED)
    daemon.on("wait", job("failed", attempt=3, error=error(stderr="Traceback\nKeyError: 'path'\n")))
    result = stoker("submit", "thumbs", "--wait")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"stoker: job {ID} failed after 3 attempts: exited: the worker exited while it had the job (exit code 3)\n"
        "  last lines of its stderr:\n  Traceback\n  KeyError: 'path'\n"
    )


def test_a_signal_is_named(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("submit", ACCEPTED)
    daemon.on("wait", job("failed", error=error(exit_code=None, signal="SIGSEGV")))
    assert "on its first attempt: exited: the worker exited while it had the job (SIGSEGV)\n" in (
        stoker("submit", "thumbs", "--wait").stderr
    )


def test_a_replaced_job_is_exit_1_and_says_by_whom(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("submit", ACCEPTED)
    why = error(cause="replaced", message="job 0199 took its place", exit_code=None)
    daemon.on("wait", job("cancelled", error=why))
    result = stoker("submit", "thumbs", "--wait")
    assert (result.exit_code, result.stderr) == (1, f"stoker: job {ID} was cancelled: job 0199 took its place\n")


@pytest.mark.parametrize(("state", "said"), [("cancelled", "was cancelled"), ("expired", "expired before it was done")])
def test_any_end_but_done_is_exit_1(daemon: ScriptedDaemon, stoker: Run, state: str, said: str) -> None:
    daemon.on("submit", ACCEPTED)
    daemon.on("wait", job(state))
    result = stoker("submit", "thumbs", "--wait")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"stoker: job {ID} {said}\n")


def test_a_wait_that_times_out_says_that_the_job_stays(daemon: ScriptedDaemon, stoker: Run) -> None:
    def refuse(_: object) -> None:
        raise Refuse("timeout", "not all jobs are final")

    daemon.on("submit", ACCEPTED)
    daemon.on("wait", refuse)
    result = stoker("submit", "thumbs", "--wait", "--timeout", "1.5s")
    assert result.exit_code == 1
    said = f"stoker: job {ID} has not ended within 1.5s and stays in the queue: `stoker wait {ID}` waits again\n"
    assert result.stderr == said
    assert 1.4 < daemon.params("wait")[0]["timeout_secs"] <= 1.5


def test_a_daemon_that_leaves_for_good_during_the_wait_is_exit_3_and_the_job_is_named(
    daemon: ScriptedDaemon, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "BACK_SECS", 0)

    def leave(_: object) -> None:
        raise HangUp

    daemon.on("submit", ACCEPTED)
    daemon.on("wait", leave)
    result = stoker("submit", "thumbs", "--wait")
    assert result.exit_code == 3
    assert f"job {ID} stays in the queue; when it is back: `stoker wait {ID}`" in result.stderr


def test_a_daemon_that_leaves_before_it_answers_leaves_it_open_whether_it_has_the_job(
    daemon: ScriptedDaemon, stoker: Run
) -> None:
    def leave(_: object) -> None:
        raise HangUp

    daemon.on("submit", leave)
    result = stoker("submit", "thumbs")
    assert result.exit_code == 3
    assert "went away before it answered" in result.stderr


def test_with_a_key_it_is_submitted_again_to_the_next_daemon(daemon: ScriptedDaemon, stoker: Run) -> None:
    def leave_twice(_: object) -> dict[str, object]:
        if len(daemon.params("submit")) <= 2:
            raise HangUp
        return ACCEPTED

    daemon.on("submit", leave_twice)
    result = stoker("submit", "thumbs", "--client", "shop", "--key", "7")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{ID}\n", "")
    assert daemon.params("submit") == [{"queue": "thumbs", "client": "shop", "key": "7", "payload": None}] * 3


def test_with_a_key_and_no_next_daemon_the_words_are_to_submit_again(
    daemon: ScriptedDaemon, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(_: object) -> None:
        daemon.path.unlink(missing_ok=True)
        raise HangUp

    monkeypatch.setattr(submit, "BACK_SECS", 0.1)
    daemon.on("submit", leave)
    result = stoker("submit", "thumbs", "--client", "shop", "--key", "7")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "is not back; the same command again, with the same --key, makes no second one" in result.stderr


def test_a_refused_submit_is_exit_1_with_the_daemons_words(daemon: ScriptedDaemon, stoker: Run) -> None:
    def refuse(_: object) -> None:
        raise Refuse("unknown_queue", "no queue thumbz; known queues: thumbs")

    daemon.on("submit", refuse)
    result = stoker("submit", "thumbz")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "stoker: no queue thumbz; known queues: thumbs\n"


def test_an_internal_error_is_told_from_a_refusal(daemon: ScriptedDaemon, stoker: Run) -> None:
    def fail(_: object) -> None:
        raise Refuse(-32603, "see the log")

    daemon.on("submit", fail)
    result = stoker("submit", "thumbs")
    assert (result.exit_code, result.stderr) == (1, "stoker: the daemon failed: see the log\n")


def test_the_text_of_the_payload_reaches_the_daemon_unchanged(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("submit", ACCEPTED)
    text = b'{"a": 0.1000000000000000055, "a": 1e400, "b": ' + b"1" * 100_000 + b', "c": "\\u00e9\xc3\xa9"}'
    result = stoker("submit", "thumbs", "-", "--name", "größer", input=text)
    assert (result.exit_code, result.stderr) == (0, "")
    assert daemon.lines == [
        b'{"jsonrpc":"2.0","id":1,"method":"submit","params":{"queue":"thumbs","name":"'
        + "größer".encode()
        + b'","payload":'
        + text
        + b"}}\n"
    ]


def test_a_payload_of_megabytes_is_sent_whole(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("submit", ACCEPTED)
    result = stoker("submit", "thumbs", "-", input=b"1" * 3_000_000)
    assert (result.exit_code, result.stderr) == (0, "")
    assert daemon.params("submit") == [{"queue": "thumbs", "payload": "1" * 3_000_000}]
