"""What goes wrong with a worker, through `stoker map`: a row of the protocol's table, a program of tests/workers."""

from pathlib import Path

import pytest

from supervisor.pool import procfs
from tests.mapping.mapped import mapped
from tests.workers import command


def lives(pid: int) -> bool:
    found = procfs.stat(pid)
    return found is not None and found.state not in "ZX"


def test_each_line_is_answered_by_the_same_worker(tmp_path: Path) -> None:
    done = mapped(tmp_path, command("echo"), [None, {"n": 1}, "ü", [1, [2]]])
    assert (done.ending.code, done.results) == (0, [None, {"n": 1}, "ü", [1, [2]]])


def test_an_error_reply_is_the_answer_with_its_message_and_details(tmp_path: Path) -> None:
    done = mapped(tmp_path, command("error"), [{"message": "no such file", "details": {"path": "x"}}, None])
    assert (done.ending.code, done.ending.answered, done.ending.failed) == (1, 2, 1)
    assert done.error() == {"cause": "error", "message": "no such file", "details": {"path": "x"}}
    assert "result" in done.records[2]


def test_a_failed_line_is_tried_again_as_often_as_it_may_be_and_keeps_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOKER_TEST_FILE", str(tmp_path / "marks"))
    done = mapped(tmp_path, command("marker"), [{"fails": 2}, {"fails": 3}], retries=2)
    assert done.ending.code == 1
    assert done.records[1]["result"]["attempt"] == 3
    assert done.error(2)["cause"] == "error"
    begun = [line.split() for line in (tmp_path / "marks").read_text().splitlines() if line.startswith("begin")]
    assert sorted(attempt for _, _, attempt, *_ in begun) == ["1", "1", "2", "2", "3", "3"]
    assert len({job for _, job, *_ in begun}) == 2


def test_what_the_worker_says_is_not_to_be_repeated_is_not(tmp_path: Path) -> None:
    done = mapped(tmp_path, command("error"), [{"message": "never", "retry": False}], retries=5)
    assert done.error()["message"] == "never"


def test_a_throttled_line_comes_back_and_costs_no_attempt(tmp_path: Path) -> None:
    done = mapped(tmp_path, command("throttled"), [{"retry_after_secs": 0.01, "until": 4}, {"until": 1}])
    assert done.ending.code == 0


def test_a_reply_with_another_id_fails_the_line_and_the_next_one_is_answered(tmp_path: Path) -> None:
    done = mapped(tmp_path, command("desync"), [None, {"as": "0199f3c2-0000-7000-8000-000000000000"}, None])
    assert done.error(2)["cause"] == "desync"
    assert [number for number, record in done.records.items() if "result" in record] == [1, 3]


@pytest.mark.parametrize("channel", ["stdio", "fd"])
def test_a_stray_print_is_garbage_but_on_a_channel_of_its_own(tmp_path: Path, channel: str) -> None:
    argv = command("stray_print", *(["--fd"] if channel == "fd" else []))
    done = mapped(tmp_path, argv, [None, {"print": "hello"}], channel=channel)
    assert (done.ending.code, "result" in done.records[2]) == ((0, True) if channel == "fd" else (1, False))
    if channel == "stdio":
        assert done.error(2)["cause"] == "garbage"
        message = done.error(2)["message"]
        assert "hello" in message
        assert "--channel fd" in message  # there is no pool whose configuration one could change


def test_a_line_that_is_no_reply_is_quoted(tmp_path: Path) -> None:
    done = mapped(tmp_path, command("garbage"), [None, {"line": "Loading model... done"}, None])
    assert done.error(2)["cause"] == "garbage"
    assert "Loading model... done" in done.error(2)["message"]
    assert "result" in done.records[3]


def test_a_reply_without_end_is_not_kept(tmp_path: Path) -> None:
    done = mapped(tmp_path, command("oversize"), [None, {"endless": True}, None])
    assert done.error(2)["cause"] == "oversize"


def test_a_second_reply_costs_no_line_anything(tmp_path: Path) -> None:
    done = mapped(tmp_path, command("two_replies"), [None, {"second": True}, None, None])
    assert done.ending.code == 0


def test_a_worker_without_ids_will_do(tmp_path: Path) -> None:
    assert mapped(tmp_path, command("no_id"), [1, 2, 3]).ending.code == 0


def test_an_exit_carries_its_code_and_the_last_lines_of_stderr(tmp_path: Path) -> None:
    done = mapped(tmp_path, command("stderr_then_exit"), [None, {"lines": ["Traceback", "KeyError: 'x'"], "code": 3}])
    error = done.error(2)
    assert (error["cause"], error["exit_code"], error["stderr"]) == ("exited", 3, "Traceback\nKeyError: 'x'")


def test_a_crash_carries_its_signal_and_the_lines_behind_it_are_answered(tmp_path: Path) -> None:
    done = mapped(tmp_path, command("crashes"), [None, {"signal": "SIGSEGV"}, None])
    assert (done.error(2)["cause"], done.error(2)["signal"]) == ("exited", "SIGSEGV")
    assert "result" in done.records[3]


def test_a_line_that_kills_its_worker_again_and_again_is_given_up_before_its_attempts_are(tmp_path: Path) -> None:
    done = mapped(tmp_path, command("crashes"), [None, {"signal": "SIGKILL"}, None], retries=9)
    assert done.error(2)["cause"] == "poison"
    assert "3 times" in done.error(2)["message"]


@pytest.mark.parametrize("name", ["closes_stdout", "closes_pipes"])
def test_a_worker_that_hangs_up_fails_its_line_alone(tmp_path: Path, name: str) -> None:
    done = mapped(tmp_path, command(name), [None, {}, None])
    assert done.error(2)["cause"] == "exited"
    assert "result" in done.records[3]


def test_a_worker_that_answers_once_and_exits_is_replaced_for_each_line(tmp_path: Path) -> None:
    assert mapped(tmp_path, command("answers_once_and_exits"), [1, 2, 3]).ending.code == 0


def test_a_worker_that_asks_to_be_replaced_is(tmp_path: Path) -> None:
    done = mapped(tmp_path, command("recycle_me"), [1, 2, 3])
    assert len({result["pid"] for result in done.results}) == 3


@pytest.mark.parametrize("name", ["never_answers", "half_line", "ignores_term"])
def test_no_whole_reply_in_time_fails_the_line(tmp_path: Path, name: str) -> None:
    done = mapped(tmp_path, command(name), [None, {}, None], timeout=0.2, boot_timeout=30.0, kill_grace=0.1)
    assert done.error(2)["cause"] == "timeout"
    assert "result" in done.records[3]


def test_a_worker_that_reads_nothing_runs_into_its_time_and_not_into_ours(tmp_path: Path) -> None:
    done = mapped(tmp_path, command("never_reads"), ["x" * 200_000], timeout=0.2, boot_timeout=0.2, kill_grace=0.1)
    assert done.error()["cause"] == "timeout"


def test_what_a_worker_started_is_gone_when_the_run_ends(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    done = mapped(
        tmp_path,
        command("forks_grandchild"),
        [{"pid_file": str(pid_file), "session": True, "deaf": True, "then": "answer"}],
        kill_grace=0.1,
    )
    assert done.ending.code == 0
    assert not lives(int(pid_file.read_text()))


def test_a_worker_that_says_when_it_is_ready_is_waited_for(tmp_path: Path) -> None:
    done = mapped(tmp_path, command("slow_boot", "0.3", "--ready"), [1, 2], ready=True, timeout=0.2, boot_timeout=30.0)
    assert done.results == [1, 2]


def test_what_workers_write_to_stderr_is_shown_by_line_and_a_flood_is_counted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    done = mapped(tmp_path, command("flood_stderr"), [{"bytes": 5_000_000}, None])
    assert done.ending.code == 0
    said = capfd.readouterr().err.splitlines()
    assert all(line.startswith(("worker 0: ", "stoker: ")) for line in said)
    assert len(said) < 3000
    assert any("too many to show" in line for line in said)


def test_control_characters_of_a_worker_do_not_reach_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mapped(tmp_path, command("binary_stderr"), [{"hex": "1b5b324a1b5d300a"}])
    assert "\x1b" not in capfd.readouterr().err


def test_a_line_that_is_not_json_is_answered_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(b'1\n\n{"broken\n\xff\n2\n')
    done = mapped(tmp_path, command("echo"), [], input=tmp_path / "in.txt")
    assert [(number, "result" in record) for number, record in done.records.items()] == [
        (1, True),
        (3, False),
        (4, False),
        (5, True),
    ]
    assert done.error(3)["cause"] == done.error(4)["cause"] == "not_json"


def test_a_file_of_nothing_but_broken_lines_ends(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(b"broken\n" * 20_000)
    done = mapped(tmp_path, command("echo"), [], input=tmp_path / "in.txt")
    assert (done.ending.code, len(done.records)) == (1, 20_000)


def test_many_workers_share_the_lines_and_the_answers_are_in_order(tmp_path: Path) -> None:
    done = mapped(tmp_path, command("surroundings"), list(range(60)), workers=8)
    assert done.ending.code == 0
    assert list(done.records) == list(range(1, 61))
