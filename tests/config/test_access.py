"""[access], and what a queue says otherwise."""

import grp
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.config import people
from supervisor.config.load import load
from supervisor.config.model import AccessConfig, Config
from supervisor.config.people import Person, find
from tests.config.conftest import ENVIRON

POOL = '[pools.p]\ncommand = ["sh"]\nqueues = ["q", "r"]\n'


@pytest.fixture(autouse=True)
def accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with the users root, alice and nobody and the groups web and nogroup."""
    users = {"root": 0, "alice": 1001, "nobody": people.overflow("uid")}
    groups = {"web": 2001, "nogroup": people.overflow("gid")}
    passwd = [pwd.struct_passwd((name, "x", uid, uid, "", "/", "/bin/sh")) for name, uid in users.items()]
    group = [grp.struct_group((name, "x", gid, [])) for name, gid in groups.items()]
    monkeypatch.setattr(pwd, "getpwall", lambda: passwd)
    monkeypatch.setattr(grp, "getgrall", lambda: group)
    monkeypatch.setattr(pwd, "getpwnam", lambda name: {one.pw_name: one for one in passwd}[name])
    monkeypatch.setattr(grp, "getgrnam", lambda name: {one.gr_name: one for one in group}[name])


def test_without_a_word_nothing_is_said(loaded: Callable[[str], Config]) -> None:
    config = loaded(POOL)
    assert {config.access, *(queue.access for queue in config.queues)} == {AccessConfig()}


def test_users_groups_numbers_and_everybody_are_entries(loaded: Callable[[str], Config]) -> None:
    config = loaded(
        POOL + '[access]\nadmin = ["alice", "@web"]\nsubmit = [1001, "1002", "@2003"]\nlook = ["*"]\n'
        "[queues.q.access]\nsubmit = []\n"
    )
    assert config.access == AccessConfig(admin=("alice", "@web"), submit=("1001", "1002", "@2003"), look=("*",))
    assert config.queue("q") is not None
    assert {queue.name: queue.access for queue in config.queues} == {"q": AccessConfig(submit=()), "r": AccessConfig()}


@pytest.mark.parametrize(
    ("entry", "person"),
    [
        ("alice", Person(uid=1001)),
        ("@web", Person(gid=2001)),
        ("77", Person(uid=77)),
        ("@77", Person(gid=77)),
        ("*", Person()),
    ],
)
def test_an_entry_means_a_number(entry: str, person: Person) -> None:
    assert find(entry) == person


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ('"alcie"', 'found "alcie", expected a user that this machine knows; did you mean "alice"?'),
        ('"@wbe"', 'found "@wbe", expected a group that this machine knows; did you mean "@web"?'),
        ('"web"', 'found "web", expected a user that this machine knows; there is a group of that name: "@web"'),
        ('"@alice"', 'found "@alice", expected a group that this machine knows; there is a user of that name: "alice"'),
        ('"zzz"', 'found "zzz", expected a user that this machine knows'),
        ('"4294967295"', 'found "4294967295", expected a user that this machine knows'),
    ],
)
def test_whom_the_machine_does_not_know_is_named_with_the_nearest(
    problems: Callable[[str], dict[str, str]], entry: str, complaint: str
) -> None:
    assert problems(POOL + f"[access]\nlook = [{entry}]\n") == {"access.look[0]": complaint}


@pytest.mark.parametrize("entry", ['"nobody"', '"@nogroup"', str(people.overflow("uid"))])
def test_who_stands_for_strangers_of_other_user_namespaces_is_no_entry(
    problems: Callable[[str], dict[str, str]], entry: str
) -> None:
    [complaint] = problems(POOL + f"[queues.q.access]\nadmin = [{entry}]\n").values()
    assert "also stands for everybody from another user namespace" in complaint


@pytest.mark.parametrize("entry", ['""', '"@"', "-1", "true", "1.5", "[]"])
def test_what_is_no_entry_is_told_with_its_place(problems: Callable[[str], dict[str, str]], entry: str) -> None:
    [(place, complaint)] = problems(POOL + f'[access]\nadmin = ["alice", {entry}]\n').items()
    assert place == "access.admin[1]"
    assert 'expected a user such as "alice", a group such as "@ops"' in complaint


def test_a_list_is_a_list_and_keys_are_the_roles(problems: Callable[[str], dict[str, str]]) -> None:
    found = problems(POOL + '[access]\nadmin = "alice"\nlok = []\n')
    assert found["access.admin"].startswith('found "alice", expected a list of users and groups')
    assert found["access.lok"] == 'unknown key: did you mean "look"?'


def test_a_daemon_starts_although_an_account_has_been_removed_since(tmp_path: Path) -> None:
    file = tmp_path / "stoker.toml"
    file.write_text(POOL + '[access]\nadmin = ["alice", "bob"]\n')
    config = load(file, environ=ENVIRON, is_root=True, lenient=True)
    assert config.access.admin == ("alice", "bob")
