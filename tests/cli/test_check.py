"""stoker check-config, and what serve says of a configuration it cannot use."""

import errno
import json
import os
import pwd
from pathlib import Path

import pytest

from supervisor.cli import configuration
from tests.cli.conftest import Run

GOOD = """
[daemon]
socket = "s"
state_dir = "state"
[pools.thumbs]
command = ["sh", "-c", "cat"]
size = 4
queues = ["thumbs", "urgent"]
[queues.lonely]
"""
ACCOUNT = pwd.getpwuid(os.geteuid())
SPECIAL = f"""
[pools.thumbs]
command = ["sh"]
min = 2
max = 8
channel = "fd"
ready = true
boot_timeout = "30s"
env = {{PIN = "hunter2", LANG = "C"}}
env_file = "secrets.env"
clear_env = true
user = "{ACCOUNT.pw_name}"
group = {os.getegid()}
max_jobs = 1000
max_age = "12h"
max_idle = "10m"
max_rss = "300MiB"
memory_limit = "1GiB"
[pools.lazy]
command = ["sh"]
min = 0
max = 1
memory_limit = "1GiB"
"""
BAD = """
[daemon]
sockt = "s"
[pools.thumbs]
command = []
size = 0
"""


@pytest.fixture(autouse=True)
def no_system_config(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "SYSTEM_CONFIG", folder / "etc" / "stoker.toml")


def test_a_good_one_is_summed_up(folder: Path, stoker: Run) -> None:
    Path("stoker.toml").write_text(GOOD)
    result = stoker("check-config")
    assert result.exit_code == 0
    assert result.stdout == (
        f"{folder}/stoker.toml: ok\n"
        "  pool thumbs: 4 workers of sh -c cat, for thumbs, urgent\n"
        f"  socket {folder}/s\n"
        f"  state in {folder}/state, store sqlite:stoker.db\n"
    )
    assert result.stderr == "stoker: queue lonely is in no pool's queues: it accepts jobs, and nothing runs them\n"


def test_a_pool_that_is_not_plain_is_told_with_what_is_special(folder: Path, stoker: Run) -> None:
    Path("secrets.env").write_text("TOKEN=hunter2")
    Path("stoker.toml").write_text(SPECIAL)
    result = stoker("check-config")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1:-2] == [
        "  pool thumbs: 2 to 8 workers of sh, for thumbs",
        f"    user {ACCOUNT.pw_name}, group {os.getegid()}",
        "    requests on file descriptor 3, replies on 4, ready within 30s",
        f"    without the daemon's variables, variables PIN LANG, variables of {folder}/secrets.env",
        "    replaced after 1000 jobs or an age of 12h or 10m without a job or 300MiB of memory, killed over 1GiB",
        "  pool lazy: 0 to 1 workers of sh, for lazy",
        "    killed over 1GiB",
    ]
    assert "hunter2" not in result.output


def test_a_credential_of_the_service_is_noted_and_no_fault(folder: Path, stoker: Run) -> None:
    Path("stoker.toml").write_text('[pools.web]\ncommand = ["sh"]\nenv_file = "credential:db"\n')
    result = stoker("check-config")
    assert result.exit_code == 0
    assert "variables of credential:db" in result.stdout
    assert result.stderr == (
        "stoker: pool web: credential:db was not looked for: it is the service's alone (LoadCredential= in its unit)\n"
    )


def test_json_is_the_summary_for_programs(folder: Path, stoker: Run) -> None:
    Path("stoker.toml").write_text(GOOD)
    summary = json.loads(stoker("check-config", "--json").stdout)
    [pool] = summary["pools"]
    assert {key: pool[key] for key in ("pool", "min", "max", "command", "queues")} == {
        "pool": "thumbs",
        "min": 4,
        "max": 4,
        "command": ["sh", "-c", "cat"],
        "queues": ["thumbs", "urgent"],
    }
    assert summary["unserved"] == ["lonely"]


def test_json_names_variables_and_shows_none(folder: Path, stoker: Run) -> None:
    Path("secrets.env").write_text("TOKEN=hunter2")
    Path("stoker.toml").write_text(SPECIAL)
    result = stoker("check-config", "--json")
    [pool, lazy] = json.loads(result.stdout)["pools"]
    assert pool == {
        "pool": "thumbs",
        "min": 2,
        "max": 8,
        "command": ["sh"],
        "queues": ["thumbs"],
        "order": "weight",
        "weight": {},
        "reserve": {},
        "channel": "fd",
        "ready": True,
        "user": ACCOUNT.pw_name,
        "group": str(os.getegid()),
        "clear_env": True,
        "max_jobs": 1000,
        "max_age": 43200,
        "max_idle": 600,
        "max_rss": 314572800,
        "memory_limit": 1073741824,
        "cwd": str(folder),
        "env": ["PIN", "LANG"],
        "env_file": [f"{folder}/secrets.env"],
    }
    assert (lazy["min"], lazy["max"], lazy["max_jobs"], lazy["env"]) == (0, 1, None, [])
    assert "hunter2" not in result.output


@pytest.mark.parametrize("command", ["check-config", "serve"])
def test_every_problem_is_a_line_and_the_exit_is_2(folder: Path, stoker: Run, command: str) -> None:
    Path("bad.toml").write_text(BAD)
    result = stoker(command, "-c", "bad.toml")
    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert all(
        any(line.startswith(f"stoker: bad.toml: {key}: ") for line in lines)
        for key in ("daemon.sockt", "pools.thumbs.command", "pools.thumbs.size")
    )


@pytest.mark.parametrize("command", ["check-config", "serve"])
def test_without_any_configuration_the_places_are_named(folder: Path, stoker: Run, command: str) -> None:
    result = stoker(command)
    assert result.exit_code == 2
    assert f"neither ./stoker.toml nor {folder}/etc/stoker.toml" in result.stderr
    assert "`stoker init`" in result.stderr


def test_the_systems_is_used_where_the_folder_has_none(folder: Path, stoker: Run) -> None:
    (folder / "etc").mkdir()
    (folder / "etc" / "stoker.toml").write_text(GOOD)
    assert stoker("check-config").stdout.startswith(f"{folder}/etc/stoker.toml: ok\n")


def test_one_that_is_not_there_is_named(folder: Path, stoker: Run) -> None:
    result = stoker("check-config", "-c", "none.toml")
    assert result.exit_code == 2
    assert result.stderr == (
        "stoker: none.toml: cannot be read: No such file or directory; "
        "write one with `stoker init`, or name another with -c FILE\n"
    )


@pytest.mark.parametrize("command", ["check-config", "status"])
def test_one_that_may_not_be_read_says_what_to_do(
    folder: Path, stoker: Run, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> bytes:  # permissions do not keep root out
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    Path("stoker.toml").write_text("[pools.a]\n")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    result = stoker(command, "-c", "stoker.toml")
    assert result.exit_code == 2
    assert result.stderr == (
        "stoker: stoker.toml: cannot be read: Permission denied; "
        "run the command as a user who may read it, or change its permissions\n"
    )


def test_how_several_queues_share_a_pool_is_told(folder: Path, stoker: Run) -> None:
    Path("stoker.toml").write_text(
        '[pools.x]\ncommand = ["sh"]\nsize = 3\nqueues = ["a", "b"]\nweight = { a = 3 }\nreserve = { b = 1 }\n'
        '[pools.y]\ncommand = ["sh"]\nqueues = ["a", "b"]\norder = "strict"\n'
    )
    lines = stoker("check-config").stdout.splitlines()
    assert lines[2] == "    a with weight 3, 1 reserved for b"
    assert lines[4] == "    its queues in strict order"
    [pool, strict] = json.loads(stoker("check-config", "--json").stdout)["pools"]
    assert (pool["order"], pool["weight"], pool["reserve"]) == ("weight", {"a": 3}, {"b": 1})
    assert (strict["order"], strict["weight"], strict["reserve"]) == ("strict", {}, {})
