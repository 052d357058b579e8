"""How the service stops: it waits for what runs, hurries when it is asked to, and gives back what is left."""

import time

from tests.crash.house import until
from tests.systemd.service import Service, service
from tests.systemd.talk import DEAF, ask, begin, everybody, pool, set_drain, state_of, status, watched

THREE_SECONDS = 'while read job; do sleep 3; echo "{\\"status\\":\\"ok\\"}"; done'
RAN = ("state", "attempt", "charged", "crashes", "interruptions")


def with_a_running_job(stoker: Service, queue: str) -> str:
    """Started, with a job that runs, and no other after it: the queue is paused."""
    stoker.systemctl("start")
    with stoker.client() as client:
        job = str(client.submit(queue, None)["id"])
        until(lambda: client.get(job)["state"] == "running", "the job's start")
        client.pause(queue)
    return job


def ask_again(stoker: Service) -> None:
    stoker.box.run("systemctl", "kill", "--kill-whom=main", "-s", "TERM", "stoker.service")


def until_stopped(stoker: Service) -> None:
    until(lambda: stoker.property("ActiveState") == "inactive", "the end")
    assert stoker.property("Result") == "success"
    assert "with signal SIGKILL" not in stoker.box.journal()  # stoker has ended its workers, and not systemd


def test_workers_that_do_not_hear_are_ended_and_their_jobs_are_given_back_at_no_cost() -> None:
    with service({"deaf": pool(DEAF, size=2)}) as stoker:
        job = with_a_running_job(stoker, "deaf")
        before = state_of(stoker, job)
        with watched(everybody(stoker)) as living:
            stoker.systemctl("stop")
            assert living() == 0
        until_stopped(stoker)
        stoker.systemctl("start")
        after = state_of(stoker, job)
        assert [before[name] for name in RAN] == ["running", 1, 0, 0, 0]
        assert [after[name] for name in RAN] == ["pending", 1, 0, 0, 0]
        ask(stoker, lambda client: client.resume("deaf"))
        until(lambda: state_of(stoker, job)["attempt"] == 2, "its next attempt")


def test_a_drain_says_how_long_it_waits_at_most_and_ends_at_once_when_its_jobs_are_cancelled() -> None:
    with service({"deaf": pool(DEAF)}) as stoker:
        set_drain(stoker, "30s")
        job = with_a_running_job(stoker, "deaf")
        begin(stoker, "stop")
        until(lambda: status(stoker).startswith("stopping: 1 running, 2"), "the drain")
        assert status(stoker).endswith(" s left")
        assert stoker.property("SubState") == "stop-sigterm"
        assert ask(stoker, lambda client: client.cancel(job))["state"] == "cancelled"
        until_stopped(stoker)
        [ran] = [line for line in stoker.log() if line["event"] == "stopping"]
        assert ran["running"] == 1
        assert "drain_incomplete" not in {line["event"] for line in stoker.log()}


def test_a_second_signal_ends_the_drain_a_third_one_the_workers_and_what_ran_is_given_back_at_no_cost() -> None:
    with service({"deaf": pool(DEAF, kill_grace="12s")}) as stoker:
        set_drain(stoker, "25s")
        job = with_a_running_job(stoker, "deaf")
        begin(stoker, "stop")
        until(lambda: status(stoker).startswith("stopping: "), "the drain")
        began = time.monotonic()
        ask_again(stoker)
        until(lambda: status(stoker) == "stopping: ending 1 worker", "the end of the drain")
        ask_again(stoker)
        until_stopped(stoker)
        assert time.monotonic() - began < 10
        assert "stopping_now" in {line["event"] for line in stoker.log()}
        stoker.systemctl("start")
        assert [state_of(stoker, job)[name] for name in RAN] == ["pending", 1, 0, 0, 0]


def test_a_drain_asks_systemd_for_the_time_that_it_may_take() -> None:
    """Also where the unit says that it would wait for one second, and the daemon could not know."""
    with service({"slow": pool(THREE_SECONDS)}, "TimeoutStopSec=1") as stoker:
        set_drain(stoker, "30s")
        job = with_a_running_job(stoker, "slow")
        stoker.systemctl("stop")
        until_stopped(stoker)
        stoker.systemctl("start")
        assert state_of(stoker, job)["state"] == "done"
