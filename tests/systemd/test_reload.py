"""`systemctl reload`: it returns when the new configuration is in force, or with the reason why it is not."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import tomli_w

from tests.e2e.daemon import until
from tests.systemd.service import STOKER, Service, service
from tests.systemd.talk import ECHO, ask, pool, state_of

# The command as in the shipped unit, whatever else that has.
RELOAD = ("ExecReload=", f"ExecReload={STOKER} reload --socket /run/stoker.sock")
WAITS = 'while read job; do while [ ! -e /var/lib/stoker/go ]; do sleep 0.1; done; echo "{\\"status\\":\\"ok\\"}"; done'
POOLS = {"echo": pool(ECHO, size=2), "waits": pool(WAITS)}


@pytest.fixture
def stoker() -> Iterator[Service]:
    with service(POOLS, *RELOAD) as installed:
        installed.systemctl("start")
        yield installed


def configure(stoker: Service, pools: dict[str, Any]) -> None:
    daemon = {"state_dir": "/var/lib/stoker", "log_format": "json", "drain_timeout": "0.1s"}
    stoker.box.write("/etc/stoker/stoker.toml", tomli_w.dumps({"daemon": daemon, "pools": pools}))


def pids(stoker: Service, name: str) -> dict[int, int]:
    """Of the pool's workers, once all are up."""

    def up() -> dict[int, int] | None:
        rows = ask(stoker, lambda client: client.workers(name))
        all_up = all(row["state"] in ("idle", "busy") for row in rows)
        return {row["slot"]: row["pid"] for row in rows} if all_up else None

    found: dict[int, int] = until(up, "the workers")
    return found


def begun(stoker: Service) -> str:
    """A job that runs until it is let go."""
    job: str = ask(stoker, lambda client: client.submit("waits", None)["id"])
    until(lambda: state_of(stoker, job)["state"] == "running", "the job's start")
    return job


def test_a_good_file_is_in_force_when_the_command_returns_and_the_jobs_of_others_run_on(stoker: Service) -> None:
    echo, waits, main = pids(stoker, "echo"), pids(stoker, "waits"), stoker.property("MainPID")
    job = begun(stoker)
    configure(stoker, {"echo": pool(ECHO, size=2, env={"A": "1"}), "waits": POOLS["waits"], "new": pool(ECHO)})
    stoker.systemctl("reload")
    assert {*pids(stoker, "echo")} == {*echo}
    assert {*pids(stoker, "echo").values()}.isdisjoint(echo.values())
    assert pids(stoker, "waits") == waits
    assert stoker.property("MainPID") == main
    assert stoker.property("ActiveState") == "active"
    done = ask(stoker, lambda client: client.wait(client.submit("new", 1)["id"], 20))
    assert done["state"] == "done"
    stoker.box.write("/var/lib/stoker/go", "")
    ended = ask(stoker, lambda client: client.wait(job, 20))
    assert [ended[name] for name in ("state", "attempt", "charged", "interruptions")] == ["done", 1, 0, 0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[pools\n", "not valid TOML"),
        (None, r"pools\.echo\.size: found -1"),
    ],
)
def test_a_bad_file_changes_nothing_and_the_journal_says_what_is_wrong(
    stoker: Service, text: str | None, reason: str
) -> None:
    before, main = (pids(stoker, "echo"), pids(stoker, "waits")), stoker.property("MainPID")
    configure(stoker, {"echo": pool(ECHO, size=-1), "new": pool(ECHO)})
    if text is not None:
        stoker.box.write("/etc/stoker/stoker.toml", text)
    with pytest.raises(AssertionError, match=r"Job for stoker\.service failed"):
        stoker.systemctl("reload")
    assert stoker.property("ActiveState") == "active"
    assert stoker.property("MainPID") == main
    assert (pids(stoker, "echo"), pids(stoker, "waits")) == before
    assert re.search(f"stoker: .*{reason}", stoker.box.journal())
    failed = [line for line in stoker.log() if line["event"] == "reload_failed"]
    assert re.search(reason, failed[0]["reason"])


def test_a_program_that_does_not_come_up_takes_everything_back(stoker: Service) -> None:
    before = pids(stoker, "echo"), pids(stoker, "waits")
    configure(stoker, {"echo": pool(ECHO, size=1), "waits": pool("echo nonsense >&2; exit 3"), "new": pool(ECHO)})
    with pytest.raises(AssertionError, match=r"Job for stoker\.service failed"):
        stoker.systemctl("reload")
    assert (pids(stoker, "echo"), pids(stoker, "waits")) == before
    assert [one["pool"] for one in ask(stoker, lambda client: client.pools())] == ["echo", "waits"]
    assert "nonsense" in stoker.box.journal()


def test_a_reload_may_take_longer_than_systemd_would_wait_for_it(stoker: Service) -> None:
    """A changed pool has a job that runs for longer than TimeoutStartSec, which is a reload's limit too."""
    stoker.box.write("/etc/systemd/system/stoker.service.d/soon.conf", "[Service]\nTimeoutStartSec=3s\n")
    stoker.box.run("systemctl", "daemon-reload")
    job = begun(stoker)
    configure(stoker, {"echo": POOLS["echo"], "waits": pool(WAITS, env={"A": "1"})})
    stoker.box.run("systemctl", "--no-block", "reload", "stoker.service")
    until(lambda: ask(stoker, lambda client: client.pools("waits"))[0]["generation"] == 2, "the new worker")
    stoker.box.run("sleep", "5")
    assert stoker.property("ActiveState") == "reloading"
    stoker.box.write("/var/lib/stoker/go", "")
    until(lambda: stoker.property("ActiveState") == "active", "the end of the reload")
    assert stoker.property("ReloadResult") == "success"
    assert state_of(stoker, job)["attempt"] == 1


def test_a_hang_up_reloads_too_and_its_outcome_is_in_the_log(stoker: Service) -> None:
    configure(stoker, {**POOLS, "new": pool(ECHO)})
    stoker.box.run("systemctl", "kill", "--kill-whom=main", "-s", "HUP", "stoker.service")
    until(lambda: any(line["event"] == "reloaded" for line in stoker.log()), "the reload")
    assert len(ask(stoker, lambda client: client.pools())) == 3
    assert stoker.property("ActiveState") == "active"
