"""What a worker's process can be given, and what it cannot."""

import grp
import os
import pwd
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.config import machine
from supervisor.config.model import Config

Loaded = Callable[[str], Config]
Problems = Callable[[str], dict[str, str]]
MINIMAL = '[pools.x]\ncommand = ["sh"]\n'
OTHER_USER = next(found for found in pwd.getpwall() if found.pw_uid != os.geteuid())
OTHER_GROUP = next(found for found in grp.getgrall() if found.gr_gid != os.getegid())
US, OUR_GROUP = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name


@pytest.mark.parametrize("as_number", [False, True])
def test_root_gives_its_workers_any_account_there_is(loaded: Loaded, as_number: bool) -> None:
    user = str(OTHER_USER.pw_uid) if as_number else OTHER_USER.pw_name
    group = str(OTHER_GROUP.gr_gid) if as_number else OTHER_GROUP.gr_name
    for text in (f'user = "{user}"', f'group = "{group}"', f'user = "{user}"\ngroup = "{group}"'):
        pool = loaded(MINIMAL + text).pools[0]
        assert pool.user == (user if "user" in text else None)
        assert pool.group == (group if "group" in text else None)


def test_an_account_may_be_a_number_without_quotes(loaded: Loaded) -> None:
    pool = loaded(MINIMAL + f"user = {OTHER_USER.pw_uid}\ngroup = {OTHER_GROUP.gr_gid}").pools[0]
    assert (pool.user, pool.group) == (str(OTHER_USER.pw_uid), str(OTHER_GROUP.gr_gid))


def test_without_root_nobody_but_us_can_be_chosen(problems_of_a_user: Problems) -> None:
    found = problems_of_a_user(MINIMAL + f'user = "{OTHER_USER.pw_name}"\ngroup = {OTHER_GROUP.gr_gid}')
    assert found == {
        "pools.x.user": f'found "{OTHER_USER.pw_name}", expected no other user than our own ({os.geteuid()}): '
        "only root can start workers as another",
        "pools.x.group": f"found {OTHER_GROUP.gr_gid}, expected no other group than our own ({os.getegid()}): "
        "only root can start workers as another",
    }
    assert problems_of_a_user(MINIMAL + f'user = "{US}"\ngroup = "{OUR_GROUP}"') == {}
    assert problems_of_a_user(MINIMAL + f"user = {os.geteuid()}\ngroup = {os.getegid()}") == {}


def test_an_unknown_account_is_named(problems: Problems) -> None:
    assert problems(MINIMAL + 'user = "nosuch-account"\ngroup = 4294967294') == {
        "pools.x.user": 'found "nosuch-account", expected a user that this machine knows',
        "pools.x.group": "found 4294967294, expected a group that this machine knows",
    }


def test_a_niceness_below_our_own_takes_root(
    loaded: Loaded, problems_of_a_user: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "lowest_nice", lambda is_root: -20 if is_root else 5)
    assert loaded(MINIMAL + "nice = -20").pools[0].nice == -20
    assert problems_of_a_user(MINIMAL + "nice = 5") == {}
    assert problems_of_a_user(MINIMAL + "nice = 4") == {
        "pools.x.nice": "found 4, expected a whole number from 5 to 19: less takes root and CAP_SYS_NICE"
    }


@pytest.mark.parametrize(("text", "bits"), [("0027", 0o027), ("077", 0o077), ("000", 0), ("0777", 0o777)])
def test_a_umask_is_octal(loaded: Loaded, text: str, bits: int) -> None:
    assert loaded(MINIMAL + f'umask = "{text}"').pools[0].umask == bits


@pytest.mark.parametrize(
    ("text", "sets"),
    [
        ("[]", []),
        ('["0"]', [{0}]),
        ('["0-3"]', [{0, 1, 2, 3}]),
        ('["2-2,5"]', [{2, 5}]),
        ('["0,2", "1", "0"]', [{0, 2}, {1}, {0}]),
    ],
)
def test_each_slot_in_turn_has_its_cpus(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, text: str, sets: list[set[int]]
) -> None:
    monkeypatch.setattr(machine, "cpus", lambda: frozenset(range(8)))
    assert list(loaded(MINIMAL + f"cpu_affinity = {text}").pools[0].cpu_affinity) == sets


def test_a_cpu_that_this_machine_does_not_let_us_use_is_told_with_those_it_does(
    problems: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "cpus", lambda: frozenset({0, 2, 3, 4, 7}))
    found = problems(MINIMAL + 'cpu_affinity = ["0", "0-2", "3-4,7", "8"]')
    expected = 'expected CPUs as in "0", "0-3" or "0,2", of those this process may use: 0,2-4,7'
    assert found == {
        "pools.x.cpu_affinity[1]": f'found "0-2", {expected}',
        "pools.x.cpu_affinity[3]": f'found "8", {expected}',
    }


def test_all_cpus_of_this_process_can_be_chosen(loaded: Loaded) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    text = ",".join(map(str, cpus))
    assert loaded(MINIMAL + f'cpu_affinity = ["{text}"]').pools[0].cpu_affinity == (frozenset(cpus),)


def test_limits_are_amounts_in_their_own_unit(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "highest_limit", lambda *_: None)
    text = """
        [pools.x.rlimits]
        nofile = 1024
        core = 0
        fsize = "10GB"
        cpu = "1h"
        stack = "unlimited"
        as = 9223372036854775807
    """
    assert loaded(MINIMAL + text).pools[0].rlimits == (
        ("nofile", 1024),
        ("core", 0),
        ("fsize", 10_000_000_000),
        ("cpu", 3600),
        ("stack", None),
        ("as", 2**63 - 1),
    )


def test_a_limit_over_what_we_may_give_is_told_with_what_we_may(
    loaded: Loaded, problems_of_a_user: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = {resource.RLIMIT_NOFILE: 4096, resource.RLIMIT_CORE: 2**20, resource.RLIMIT_CPU: 90}
    monkeypatch.setattr(machine, "highest_limit", lambda number, is_root: None if is_root else most[number])
    good = "[pools.x.rlimits]\nnofile = 4096\ncore = 1048576\ncpu = 90"
    bad = '[pools.x.rlimits]\nnofile = "unlimited"\ncore = 1048577\ncpu = "91s"'
    assert problems_of_a_user(MINIMAL + good) == {}
    assert len(loaded(MINIMAL + bad).pools[0].rlimits) == 3
    why = "the daemon's own hard limit, or the system's, is no higher"
    assert problems_of_a_user(MINIMAL + bad) == {
        "pools.x.rlimits.nofile": f'found "unlimited", expected at most 4096: {why}',
        "pools.x.rlimits.core": f"found 1048577, expected at most 1MiB: {why}",
        "pools.x.rlimits.cpu": f'found "91s", expected at most 1m30s: {why}',
    }


@pytest.mark.parametrize("word", ["auto", "off"])
def test_cgroups_are_a_word(loaded: Loaded, word: str) -> None:
    assert loaded(f'[daemon]\ncgroup = "{word}"\n{MINIMAL}').daemon.cgroup == word


def test_cgroups_are_the_folder_of_one(loaded: Loaded, problems: Problems, tmp_path: Path) -> None:
    text = f'[daemon]\ncgroup = "{tmp_path}"\n{MINIMAL}'
    assert problems(text)["daemon.cgroup"].endswith("expected the folder of a cgroup (version 2) made for stoker")
    (tmp_path / "cgroup.controllers").write_text("memory pids\n")  # every cgroup of version 2 has it
    assert loaded(text).daemon.cgroup == tmp_path


def test_one_env_file_needs_no_list(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("A=1")
    (tmp_path / "b.env").write_text("A=2")
    assert loaded(MINIMAL + 'env_file = "a.env"').pools[0].env_files == (tmp_path / "a.env",)
    assert loaded(MINIMAL + 'env_file = ["b.env", "a.env"]').pools[0].env_files == (
        tmp_path / "b.env",
        tmp_path / "a.env",
    )


def test_each_env_file_of_a_list_is_told_by_its_place(problems: Problems, tmp_path: Path) -> None:
    (tmp_path / "good.env").write_text("A=1")
    (tmp_path / "bad.env").write_text("\nB-1=x")
    found = problems(MINIMAL + 'env_file = ["gone.env", "good.env", "bad.env"]')
    assert list(found) == ["pools.x.env_file[0]", "pools.x.env_file[2]"]
    assert found["pools.x.env_file[2]"].startswith(f"{tmp_path}/bad.env, line 2: found a name")


@pytest.mark.parametrize("name", ["spring.profiles", "MY-VAR", "1ST", "Ä", "A B", ""])
def test_a_variable_that_a_shell_would_drop_is_refused_with_a_way_around(problems: Problems, name: str) -> None:
    [(where, message)] = problems(MINIMAL + f'env = {{"{name}" = "x"}}').items()
    assert where.startswith("pools.x.env.")
    assert 'letters, digits and "_"' in message
    assert message.endswith('begin the command with "env", "NAME=VALUE"')


@pytest.mark.parametrize(
    ("limit", "least", "why"),
    [
        ("nofile = 15", "16", "a program needs some for its own files"),
        ('stack = "63KiB"', "64KiB", "a program needs it for its first call"),
        ("as = 1048575", "1MiB", "no program can be loaded into less"),
        ("data = 0", "1MiB", "no program can be loaded with less"),
    ],
)
def test_a_limit_under_which_no_program_comes_up_is_refused_with_the_reason(
    problems: Problems, limit: str, least: str, why: str
) -> None:
    key, _, amount = limit.partition(" = ")
    found = problems(MINIMAL + "[pools.x.rlimits]\n" + limit)
    assert found == {f"pools.x.rlimits.{key}": f"found {amount}, expected at least {least}: {why}"}


def test_the_least_of_each_limit_is_taken(loaded: Loaded) -> None:
    text = '[pools.x.rlimits]\nnofile = 16\nstack = "64KiB"\nas = "1MiB"\ndata = "1MiB"\ncore = 0\n'
    limits = dict(loaded(MINIMAL + text).pools[0].rlimits)
    assert limits == {"nofile": 16, "stack": 65536, "as": 2**20, "data": 2**20, "core": 0}


def test_a_limit_below_zero_and_one_in_capitals_are_told_what_is_right(problems: Problems) -> None:
    assert problems(MINIMAL + "[pools.x.rlimits]\nnofile = -1\nNOFILE = 4096") == {
        "pools.x.rlimits.nofile": 'found -1, expected a whole number from 0, or "unlimited"',
        "pools.x.rlimits.NOFILE": 'unknown key: did you mean "nofile"?',
    }


@pytest.mark.parametrize("number", ["0o27", "23", "0"])
def test_a_umask_that_is_a_number_is_not_echoed_as_another(problems: Problems, number: str) -> None:
    found = problems(MINIMAL + f"umask = {number}")
    assert found == {"pools.x.umask": 'found a number, expected text in quotes, in octal, such as "0027"'}
