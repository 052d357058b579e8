"""The environment of a worker: whose variables win, what is left out, and that no value is ever told."""

import json
import os
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.pool.gate import gated
from supervisor.pool.launch import SpawnFailed
from tests.pool.launched import INSTANCE, SYSTEM_PATH, environment, launched, mark_of
from tests.pool.rig import pool_config, rig
from tests.workers import command

SECRET = "hunter2-correct-horse"
DAEMON = {
    "PATH": SYSTEM_PATH,
    "LANG": "C.UTF-8",
    "LC_TIME": "en_GB.UTF-8",
    "TZ": "UTC",
    "HOME": "/root",
    "SHELL": "/bin/x",
    "USER": "root",
    "LOGNAME": "root",
    "TOKEN": "of the daemon",
    "PWD": "/else",
    "OLDPWD": "/before",
    "JOURNAL_STREAM": "9:1234",
}


def ours(slot: int = 0) -> dict[str, str]:
    """What stoker says to a worker of the pool `p`."""
    return {
        "STOKER_PROTOCOL": "1",
        "STOKER_POOL": "p",
        "STOKER_SLOT": str(slot),
        "STOKER_INSTANCE": INSTANCE,
    }


def test_a_worker_inherits_the_environment_but_for_what_is_true_of_the_daemon_alone(tmp_path: Path) -> None:
    expected = {**DAEMON, **ours(3), "PWD": str(tmp_path)}
    del expected["OLDPWD"], expected["JOURNAL_STREAM"]
    assert environment(tmp_path, environ=DAEMON, slot=3) == expected


def test_two_workers_of_one_place_have_different_marks(tmp_path: Path) -> None:
    wrong = {"STOKER_WORKER": "wrong"}
    marks = {mark_of(tmp_path, slot=3, environ={**DAEMON, **wrong}, env=tuple(wrong.items())) for _ in range(2)}
    assert len(marks) == 2
    assert all(mark.startswith(f"{INSTANCE}/p/3/") for mark in marks)


def test_a_worker_that_is_a_daemon_itself_does_not_think_that_it_was_given_the_cgroup(tmp_path: Path) -> None:
    assert "STOKER_DELEGATED" not in environment(tmp_path, environ={**DAEMON, "STOKER_DELEGATED": "yes"})


@pytest.mark.provokes("clear_env")
def test_a_cleared_environment_keeps_the_place_the_language_and_who_it_is(tmp_path: Path) -> None:
    kept = ("PATH", "LANG", "LC_TIME", "TZ", "HOME", "USER", "LOGNAME", "SHELL")
    expected = {**{name: DAEMON[name] for name in kept}, **ours(), "PWD": str(tmp_path)}
    assert environment(tmp_path, environ=DAEMON, clear_env=True) == expected


@pytest.mark.parametrize("clear", [False, True])
def test_files_win_over_what_is_inherited_later_files_over_earlier_and_env_over_all(
    tmp_path: Path, clear: bool
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("LANG=1\nA=1\nB=1\nC=1\n")
    second.write_text("B=2\nC=2\n")
    got = environment(
        tmp_path, environ=DAEMON, clear_env=clear, env_files=(first, second), env=(("C", "3"), ("D", "3"))
    )
    assert [got[name] for name in ("LANG", "A", "B", "C", "D")] == ["1", "1", "2", "3", "3"]
    assert got.get("TOKEN") == (None if clear else "of the daemon")


@pytest.mark.provokes("env_files", "clear_env", program="surroundings.py")
async def test_a_worker_of_a_pool_finds_its_files_and_of_the_daemons_variables_only_a_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_OF_THE_DAEMON", "x")
    file = tmp_path / "settings"
    file.write_text("MODEL=small\n")
    for clear in (False, True):
        async with rig(command("surroundings"), folder=tmp_path, env_files=(file,), clear_env=clear) as daemon:
            got = json.loads((await daemon.run(None)).result)["env"]
        assert (got["MODEL"], "TOKEN_OF_THE_DAEMON" in got) == ("small", not clear)


def test_nothing_wins_over_what_stoker_says(tmp_path: Path) -> None:
    wrong = dict.fromkeys(ours(), "wrong")
    assert ours().items() <= environment(tmp_path, environ={**DAEMON, **wrong}, env=tuple(wrong.items())).items()


def test_the_program_is_looked_for_where_its_own_environment_says(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "worker").write_text("#!/bin/sh\necho found\n")
    (tmp_path / "bin" / "worker").chmod(0o755)
    for path in ("bin", f"{tmp_path}/bin"):
        with launched(["worker"], tmp_path, env=(("PATH", f"{path}:{SYSTEM_PATH}"),)) as worker:
            assert worker.line() == "found"


def test_a_file_is_read_at_each_start_and_mending_it_mends_the_pool(tmp_path: Path) -> None:
    file = tmp_path / "secrets"
    with pytest.raises(SpawnFailed) as failure:
        environment(tmp_path, env_files=(file,))
    assert failure.value.message.startswith("cannot start 'cat': ")
    assert str(file) in failure.value.message
    file.write_text(f"TOKEN={SECRET}\n")
    assert environment(tmp_path, env_files=(file,))["TOKEN"] == SECRET
    file.write_text("TOKEN=another\n")
    assert environment(tmp_path, env_files=(file,))["TOKEN"] == "another"


@pytest.mark.provokes("env_files", program="surroundings.py")
async def test_a_pool_whose_file_is_broken_says_so_and_recovers_once_it_is_mended(tmp_path: Path) -> None:
    file = tmp_path / "secrets"
    file.write_text(f"TOKEN={SECRET}\n{SECRET}\n")
    async with rig(command("surroundings"), folder=tmp_path, env_files=(file,)) as daemon:
        [pool] = daemon.pools
        assert pool.state == "degraded"
        assert str(file) in pool.health.reason
        assert SECRET not in pool.health.reason
        file.write_text(f"TOKEN={SECRET}\n")
        job = await daemon.run(None)
        assert f'"TOKEN":"{SECRET}"' in bytes(job.result).decode().replace(" ", "")
        assert pool.state == "ready"


@pytest.mark.parametrize(
    "settings",
    [
        {"command": ["no-such-program"], "env": (("PATH", SECRET),)},
        {"command": ["./missing"]},
        {"command": ["/etc/passwd"]},
        {"command": ["true"], "folder": "missing"},
        {"command": ["true"], "rlimits": (("nofile", 2**62),)},
        {"command": ["true"], "cpu_affinity": (frozenset({1023}),)},
        {"command": ["true"], "user": "no-such-user"},
        {"command": ["true"], "env": (("NUL", f"{SECRET}\0"),)},
        {"command": ["true"], "env": (("BIG", SECRET * 10**6),)},
    ],
)
def test_no_reason_why_nothing_starts_has_a_secret(tmp_path: Path, settings: dict[str, object]) -> None:
    file = tmp_path / "secrets"
    file.write_text(f"TOKEN={SECRET}\n")
    changes = {"environ": DAEMON, "env": (("ALSO", SECRET),), **settings, "env_files": (file,)}
    folder = tmp_path / str(changes.pop("folder", "."))
    with pytest.raises(SpawnFailed) as failure, launched(changes.pop("command"), folder, **changes):
        pass
    assert SECRET not in str(failure.value)
    assert len(failure.value.message) < 400
    assert failure.value.message.startswith("cannot start '")


# -- names that a shell does not know ----------------------------------------------------------------------------------

ODD = {
    "spring.profiles.active": "prod",
    "a-b": "dash",
    "1st": "digit",
    "BASH_FUNC_f%%": "() { echo f; }",
    "ü": "umlaut",
    "it's": "quote",
    'say "x"': "quotes",
    "back\\slash\\\\twice\\": "\\\\",
    "all of '\\'' it": "'",
    "dollar$HOME${HOME}": "$HOME ${HOME} `id`",
    "line\nfeed": "two\nlines",
    "#hash": "# no comment",
    "-option": "-i",
    "tab\tand space": "\t  ",
    "\udcff": "\udcfe\udcff",
    "IFS": ":",
    "OPTIND": "no number",
    "PPID": "1",
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("channel", ["stdio", "fd"])
def test_a_variable_reaches_the_worker_whatever_its_name_and_value(tmp_path: Path, name: str, channel: str) -> None:
    copy = ["dd", "if=/proc/self/environ", f"of=/dev/fd/{1 if channel == 'stdio' else 4}", "status=none"]
    with launched(copy, tmp_path, environ={**DAEMON, name: ODD[name]}, channel=channel) as worker:
        got = dict(entry.split("=", 1) for entry in worker.rest().split("\0") if entry)
    assert got[name] == ODD[name]


def test_all_of_them_at_once(tmp_path: Path) -> None:
    expected = {**DAEMON, **ODD, **ours(), "PWD": str(tmp_path)}
    del expected["OLDPWD"], expected["JOURNAL_STREAM"]
    assert environment(tmp_path, environ={**DAEMON, **ODD}) == expected


names = st.text(st.characters(codec="utf-8", exclude_characters="\0=", exclude_categories=["Cs"]), min_size=1)
values = st.text(st.one_of(st.sampled_from(string.printable), st.characters(codec="utf-8", exclude_characters="\0")))


@settings(max_examples=50)
@given(st.dictionaries(names.filter(lambda name: name not in {"PATH", "LD_PRELOAD", "PWD"}), values, max_size=4))
def test_any_variables_arrive_as_they_were(variables: dict[str, str]) -> None:
    got = environment(Path("/"), environ={"PATH": SYSTEM_PATH}, env=tuple(variables.items()))
    assert got == {"PATH": SYSTEM_PATH, "PWD": "/", **variables, **ours()}


def test_no_value_is_ever_in_a_command_line(tmp_path: Path) -> None:
    """Which every user of the machine may read, while the environment is for the same user and root."""
    environ = {**DAEMON, "secret.token": SECRET, "TOKEN": SECRET}
    argv, env = gated(pool_config(["true"], tmp_path), environ, None)
    assert SECRET not in "\0".join(argv)
    assert SECRET in env.values()


def test_a_machine_without_gnu_env_names_the_variable_and_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "busybox").touch(0o755)
    (tmp_path / "env").symlink_to("busybox")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpawnFailed, match=r"'odd\.name' needs GNU env: install coreutils"):
        environment(tmp_path, environ={"PATH": SYSTEM_PATH, "odd.name": "x"})
    assert environment(tmp_path, environ={"PATH": SYSTEM_PATH})["PATH"] == SYSTEM_PATH


def test_the_environment_of_this_very_process_arrives_whole(tmp_path: Path) -> None:
    expected = {**os.environ, **ours(), "PWD": str(tmp_path)}
    expected.pop("OLDPWD", None)
    assert environment(tmp_path) == expected
