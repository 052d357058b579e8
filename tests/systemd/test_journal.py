"""The log in a real journal: a job's story by its id, priorities, and bursts of which nothing goes missing unsaid."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.crash.house import until
from tests.systemd.service import Service, service

# Writes what the payload says, so many times, and answers as it says.
WORKER = """
import json, os, sys
for line in sys.stdin:
    job = json.loads(line)
    text, times, status = job["payload"]
    out = "".join(f"{text} {number} of {job['id']}\\n" for number in range(times))
    while out:
        out = out[os.write(2, out.encode()):]
    print(json.dumps({"id": job["id"], "status": status, "message": "no such file", "retry": False}), flush=True)
"""
POOLS = {"thumbs": {"command": ["python3", "-c", WORKER], "size": 2, "queues": ["small", "large"]}}


@pytest.fixture(scope="module")
def stoker() -> Iterator[Service]:
    with service(POOLS) as installed:
        choose(installed, "auto")
        installed.systemctl("start")
        yield installed


def choose(stoker: Service, format: str) -> None:
    file = stoker.box.root / "etc/stoker/stoker.toml"
    file.write_text(file.read_text().replace('log_format = "json"', f'log_format = "{format}"'))


def run(stoker: Service, payload: Sequence[object], queue: str = "small") -> dict[str, Any]:
    with stoker.client() as client:
        return client.wait(client.submit(queue, payload)["id"])


def entries(stoker: Service, *matches: str) -> list[dict[str, Any]]:
    stoker.box.run("journalctl", "--sync")
    lines = stoker.box.run("journalctl", "--no-pager", "--all", "-o", "json", *matches).splitlines()
    return [json.loads(line) for line in lines]


def total(found: Sequence[dict[str, Any]], name: str) -> int:
    return sum(int(entry[name]) for entry in found)


def told(found: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(entry["STOKER_EVENT"], entry["PRIORITY"]) for entry in found]


def test_a_jobs_whole_story_is_found_by_its_id_and_nothing_else(stoker: Service) -> None:
    good, bad = run(stoker, ["resized", 2, "ok"]), run(stoker, ["<4>wrong", 1, "error"], "large")
    story = entries(stoker, f"STOKER_JOB={good['id']}")
    assert told(story) == [("job_started", "6"), ("worker_stderr", "6"), ("worker_stderr", "6"), ("job_done", "6")]
    assert [entry["STOKER_LINE"] for entry in story[1:3]] == [f"resized {number} of {good['id']}" for number in (0, 1)]
    assert [entry["MESSAGE"] for entry in story[1:3]] == [
        f"thumbs.{entry['STOKER_SLOT']}: {entry['STOKER_LINE']}" for entry in story[1:3]
    ]
    for entry in story:
        assert (entry["STOKER_POOL"], entry["STOKER_QUEUE"], entry["STOKER_ATTEMPT"]) == ("thumbs", "small", "1")
        assert entry["_SYSTEMD_UNIT"] == "stoker.service"
        assert entry["SYSLOG_IDENTIFIER"] == "stoker"
        assert entry["STOKER_PID"] != entry["_PID"]
    story = entries(stoker, f"STOKER_JOB={bad['id']}")
    assert told(story) == [("job_started", "6"), ("worker_stderr", "4"), ("job_failed", "3")]
    assert story[-1]["STOKER_CAUSE"] == "error"
    assert story[-1]["MESSAGE"].startswith(f"job_failed job={bad['id']} queue=large pool=thumbs ")
    assert "message='no such file'" in story[-1]["MESSAGE"]


def test_errors_are_found_by_their_priority(stoker: Service) -> None:
    job = run(stoker, ["<3>broken", 1, "error"])["id"]
    graver = entries(stoker, "-p", "err", f"STOKER_JOB={job}")
    assert told(graver) == [("worker_stderr", "3"), ("job_failed", "3")]
    assert graver[0]["STOKER_LINE"] == f"broken 0 of {job}"


def test_a_line_of_the_status_is_for_eyes(stoker: Service) -> None:
    run(stoker, ["seen", 1, "ok"])
    stoker.box.run("journalctl", "--sync")
    status = stoker.box.run("systemctl", "status", "--no-pager", "-n", "20", "stoker.service")
    assert re.search(r"\]: thumbs\.[01]: seen 0 of", status)


def test_workers_are_not_told_that_their_stderr_is_the_journal(stoker: Service) -> None:
    [*_, worker] = [pids for path, pids in stoker.tree().items() if "thumbs" in path]
    environ = Path(f"/proc/{worker[0]}/environ").read_text().split("\0")
    assert any(line.startswith("INVOCATION_ID=") for line in environ)
    assert not any(line.startswith("JOURNAL_STREAM=") for line in environ)


def test_a_journald_that_stands_still_holds_nobody_up_and_what_it_missed_comes_behind(stoker: Service) -> None:
    pid = stoker.box.run("systemctl", "show", "--value", "-p", "MainPID", "systemd-journald").strip()
    stoker.box.run("kill", "-STOP", pid)
    try:
        jobs = [run(stoker, ["held", 20, "ok"])["id"] for _ in range(20)]
    finally:
        stoker.box.run("kill", "-CONT", pid)
    for job in jobs:
        until(lambda job=job: len(entries(stoker, f"STOKER_JOB={job}")) == 22, "the whole story")  # type: ignore[misc]
    assert entries(stoker, "STOKER_EVENT=log_lines_lost") == []


def test_a_restart_of_journald_loses_nothing(stoker: Service) -> None:
    before = run(stoker, ["before", 1, "ok"])["id"]
    stoker.box.run("systemctl", "restart", "systemd-journald.service")
    after = run(stoker, ["after", 1, "ok"])["id"]
    for job in (before, after):
        until(lambda job=job: len(entries(stoker, f"STOKER_JOB={job}")) == 3, "the whole story")  # type: ignore[misc]


def test_of_a_burst_each_line_is_there_or_counted_and_journald_suppresses_none(stoker: Service) -> None:
    job = run(stoker, ["burst", 50_000, "ok"])["id"]

    def sum_up() -> int:
        found = entries(stoker, "STOKER_EVENT=worker_stderr", f"STOKER_JOB={job}")
        lost = entries(stoker, "STOKER_EVENT=log_lines_lost")
        dropped = entries(stoker, "STOKER_EVENT=worker_stderr_dropped")
        return len(found) + total(dropped, "STOKER_LINES") + total(lost, "STOKER_COUNT")

    until(lambda: sum_up() >= 50_000, "all lines, or their number")
    assert sum_up() <= 50_010  # with what else there was to tell, should any of it be lost
    assert "Suppressed" not in stoker.box.journal()


def test_a_story_goes_on_after_the_daemons_death_and_a_stop() -> None:
    pools = {"slow": {"command": ["sh", "-c", "read job; echo at work >&2; sleep 300"]}}
    with service(pools, "RestartSec=0") as stoker:
        choose(stoker, "auto")
        stoker.systemctl("start")
        with stoker.client() as client:
            job = client.submit("slow", None)["id"]

        def lines() -> int:
            return len(entries(stoker, f"STOKER_JOB={job}", "STOKER_EVENT=worker_stderr"))

        until(lambda: lines() == 1, "the first attempt")
        stoker.box.run("systemctl", "kill", "--kill-whom=main", "-s", "KILL", "stoker.service")
        until(lambda: lines() == 2, "the second one")
        stoker.systemctl("stop")
        story = entries(stoker, f"STOKER_JOB={job}")
        assert told(story) == [
            ("job_started", "6"),
            ("worker_stderr", "6"),
            ("job_interrupted", "4"),
            ("job_started", "6"),
            ("worker_stderr", "6"),
            ("worker_ended", "4"),
            ("job_released", "6"),
        ]
        assert [entry.get("STOKER_ATTEMPT") for entry in story] == ["1", "1", "1", "2", "2", None, "2"]


def test_a_unit_without_the_line_gets_no_more_than_journald_takes_and_the_rest_is_counted() -> None:
    lines = ("LogRateLimitIntervalSec=30s", "LogRateLimitBurst=200")
    with service(POOLS, *lines) as stoker:
        choose(stoker, "journal")
        stoker.systemctl("start")
        run(stoker, ["burst", 500, "ok"])
        until(lambda: entries(stoker, "STOKER_EVENT=log_lines_lost"), "the count")
        found = entries(stoker, "STOKER_EVENT=worker_stderr")
        lost = total(entries(stoker, "STOKER_EVENT=log_lines_lost"), "STOKER_COUNT")
        assert 50 < len(found) < 120
        assert 500 <= len(found) + lost <= 510  # with what else is told of a start
        assert "LogRateLimitBurst=" in entries(stoker, "STOKER_EVENT=log_lines_lost")[0]["MESSAGE"]
        assert "Suppressed" not in stoker.box.journal()
