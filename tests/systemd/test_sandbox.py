"""The unit's sandbox: what stoker and its workers do in it all the same."""

import json
import os
import re
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from supervisor.units.files import Service as Installation
from tests.crash.house import until
from tests.systemd.service import Service, service
from tests.systemd.surroundings import PYTHON

SECRET = "hunter2 and more"
NODE_WORKER = Path(__file__).with_name("asks_postgres.js")
DATABASE = """\
[Service]
Type=notify
User=postgres
StateDirectory=database
StateDirectoryMode=0700
LoadCredential=password:/etc/stoker/password
ExecStartPre={bin}/initdb -D /var/lib/database -N -U stoker -A password --pwfile=${{CREDENTIALS_DIRECTORY}}/password
ExecStart={bin}/postgres -D /var/lib/database -c listen_addresses=localhost -c unix_socket_directories= -c fsync=off
"""
# Answers with what Python makes of the payload.
EVALUATES = """
import json, os, resource, socket, subprocess, sys
from pathlib import Path
for line in sys.stdin:
    try:
        reply = {"status": "ok", "result": eval(json.loads(line)["payload"])}
    except Exception as error:
        reply = {"status": "error", "message": str(error), "retry": False}
    print(json.dumps(reply), flush=True)
"""
PYTHON_POOL = {"command": [PYTHON, "-c", EVALUATES]}
SHELL_POOL = {
    "command": ["sh", "-c", 'while read job; do echo "{\\"status\\":\\"ok\\",\\"result\\":\\"$(id -u)\\"}"; done']
}


def answer(stoker: Service, queue: str, payload: Any = None) -> Any:
    """A job's result, or what went wrong with it."""
    with stoker.client() as client:
        job = client.wait(client.submit(queue, payload)["id"])
    return job["result"] if job["state"] == "done" else job["error"]["message"]


def test_a_node_worker_asks_a_postgresql_over_tcp() -> None:
    node, found = shutil.which("node"), sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if node is None or not found:
        pytest.skip("needs Node and PostgreSQL (Debian packages nodejs and postgresql)")
    pool = {"command": [node, str(NODE_WORKER)], "ready": True, "env_file": "credential:database"}
    database = DATABASE.format(bin=found[-1].parent)
    with service(
        {"sql": pool}, "LoadCredential=database:/etc/stoker/database.env", more={"database.service": database}
    ) as stoker:
        stoker.box.write("/etc/stoker/password", SECRET)
        stoker.box.write("/etc/stoker/database.env", f"DATABASE_PASSWORD='{SECRET}'\n")
        stoker.box.run("systemctl", "start", "database.service")
        stoker.systemctl("start")
        assert answer(stoker, "sql", "create table jobs (size int); insert into jobs values (40), (2)") == []
        assert answer(stoker, "sql", "select count(*), sum(size) from jobs where size < 41") == [["2", "42"]]
        assert answer(stoker, "sql", "select * from nowhere") == 'relation "nowhere" does not exist'


@pytest.mark.parametrize("strict", [False, True], ids=["default", "strict"])
def test_workers_in_python_and_shell_run_in_it_with_what_a_pool_may_ask_for(strict: bool) -> None:
    asked: dict[str, Any] = {"rlimits": {"nofile": 99, "core": 0}, "umask": "0027"}
    if not strict:
        asked |= {"nice": 5, "cpu_affinity": [str(min(os.sched_getaffinity(0)))]}
    pools = {"python": PYTHON_POOL | asked, "shell": SHELL_POOL}
    with service(pools, shipped=Installation(strict=strict)) as stoker:
        stoker.systemctl("start")
        uid = stoker.box.run("id", "-u", "stoker").strip()
        assert answer(stoker, "shell") == uid
        assert answer(stoker, "python", "[os.getuid(), resource.getrlimit(resource.RLIMIT_NOFILE)]") == [
            int(uid),
            [99, 99],
        ]
        if strict:
            assert answer(stoker, "python", "socket.socket()").endswith("Address family not supported by protocol")
        else:
            assert answer(stoker, "python", "[os.nice(0), len(os.sched_getaffinity(0))]") == [5, 1]


def test_the_daemon_may_open_as_many_files_as_its_pools_need_and_workers_as_many_as_select_takes() -> None:
    with service({"python": PYTHON_POOL}) as stoker:
        stoker.systemctl("start")
        soft, hard = answer(stoker, "python", "resource.getrlimit(resource.RLIMIT_NOFILE)")
        assert soft == 1024
        [daemon] = stoker.tree()["daemon"]
        limits = Path(f"/proc/{daemon}/limits").read_text()
        assert re.search(rf"^Max open files +{hard} +{hard} ", limits, re.MULTILINE)


def test_a_daemon_that_is_root_with_little_of_its_power_runs_workers_as_another_user() -> None:
    """With the lines that examples/systemd/README.md has for it."""
    lines = (
        "User=root",
        "Group=root",
        "CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_KILL",
        "SystemCallFilter=@setuid",
    )
    deaf = {"command": ["sh", "-c", "trap '' TERM; read job; while :; do sleep 300; done"], "kill_grace": "0.1s"}
    pools = {"shell": SHELL_POOL | {"user": "nobody"}, "deaf": deaf | {"user": "nobody"}}
    with service(pools, *lines) as stoker:
        stoker.systemctl("start")
        assert answer(stoker, "shell") == stoker.box.run("id", "-u", "nobody").strip()
        with stoker.client() as client:
            job = client.submit("deaf", None)["id"]
            until(lambda: client.get(job)["state"] == "running", "the job to run")
            assert client.cancel(job)["state"] == "cancelled"
        stoker.systemctl("stop")
        assert stoker.property("Result") == "success"


def test_a_secret_of_the_service_reaches_its_workers_and_nobody_else() -> None:
    pools = {"python": PYTHON_POOL | {"env_file": "credential:web"}}
    with service(pools, "LoadCredential=web:/etc/stoker/web.env") as stoker:
        stoker.box.write("/etc/stoker/web.env", f"TOKEN='{SECRET}'\n")
        stoker.box.run("chmod", "600", "/etc/stoker/web.env")
        outside = stoker.box.run("/opt/stoker/bin/stoker", "check-config", "-c", "/etc/stoker/stoker.toml")
        assert "variables of credential:web" in outside
        stoker.systemctl("start")
        assert answer(stoker, "python", f"os.environ['TOKEN'] == {SECRET!r}") is True
        assert (
            answer(stoker, "python", "Path(os.environ['CREDENTIALS_DIRECTORY'], 'web').stat().st_mode & 0o777") == 0o400
        )
        with stoker.client() as client:
            told = [client.call(method, {}) for method in ("status", "pools", "workers")]
        assert SECRET not in json.dumps(told) + stoker.box.journal() + outside


def test_a_secret_that_the_unit_does_not_load_keeps_the_daemon_from_starting_and_says_which_line_is_missing() -> None:
    with service({"python": PYTHON_POOL | {"env_file": "credential:web"}}) as stoker:
        stoker.box.run("systemctl", "start", "stoker.service", check=False)
        assert stoker.property("ExecMainStatus") == "2"
        assert "expected LoadCredential=web:FILE in the service's unit" in stoker.box.journal()


@pytest.mark.parametrize("strict", [False, True], ids=["default", "strict"])
def test_a_dynamic_user_has_the_queue_again_after_a_restart_and_its_socket_a_lasting_group(strict: bool) -> None:
    with service({"shell": SHELL_POOL}, shipped=Installation(dynamic=True, strict=strict)) as stoker:
        stoker.systemctl("start")
        uid = answer(stoker, "shell")
        assert 61184 <= int(uid) <= 65519  # systemd's range for them
        with stoker.client() as client:
            job = client.submit("shell", None)["id"]
            assert client.wait(job)["state"] == "done"
        stoker.systemctl("restart")
        with stoker.client() as client:
            assert client.get(job)["state"] == "done"
        assert answer(stoker, "shell") == uid
        state = (stoker.box.root / "var/lib/private/stoker").stat()
        assert (state.st_uid, stat.S_IMODE(state.st_mode)) == (int(uid), 0o700)
        clients = stoker.box.run("getent", "group", "stoker-clients").split(":")[2]
        socket = (stoker.box.root / "run/stoker.sock").stat()
        assert (socket.st_uid, socket.st_gid, stat.S_IMODE(socket.st_mode)) == (0, int(clients), 0o660)
