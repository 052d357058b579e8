"""stoker systemd: what it prints, and what it writes."""

import os
import sys
from pathlib import Path

import pytest
from click.testing import Result

from supervisor.cli import installation, unit_files
from tests.cli.conftest import Run

POOL = '[pools.x]\ncommand = ["sh"]\n'


@pytest.fixture
def program(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stoker that runs."""
    script = folder / "bin/stoker"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(script)])
    return script


@pytest.fixture
def etc(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the system's files lie; the caller is root."""
    place = unit_files.place
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(unit_files, "place", lambda path, root: folder / str(place(path, root)).lstrip("/"))
    monkeypatch.setattr(installation, "SYSTEM_FOLDER", folder / "etc/stoker")
    return folder / "etc"


def lines(result: Result, key: str) -> list[str]:
    assert result.exit_code == 0, result.stderr
    return [line.removeprefix(f"{key}=") for line in result.stdout.splitlines() if line.startswith(f"{key}=")]


def written(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_the_files_have_the_paths_of_this_installation(folder: Path, program: Path, stoker: Run) -> None:
    (folder / "my.toml").write_text(f'[daemon]\nsocket = "run/s"\nstate_dir = "/var/lib/warm/jobs"\n{POOL}')
    result = stoker("systemd", "-c", "my.toml")
    assert lines(result, "ExecStart") == [f"{program} serve -c {folder}/my.toml"]
    assert lines(result, "ExecReload") == [f"{program} reload --socket {folder}/run/s"]
    assert lines(result, "ListenStream") == [f"{folder}/run/s"]
    assert lines(result, "StateDirectory") == ["warm/jobs"]
    for file in ("systemd/system/stoker.service", "systemd/system/stoker.socket", "sysusers.d/stoker.conf"):
        assert f"# /etc/{file}\n" in result.stdout


def test_the_configuration_may_be_named_before_the_command(program: Path, stoker: Run) -> None:
    assert lines(stoker("-c", "/srv/x.toml", "systemd"), "ExecStart") == [f"{program} serve -c /srv/x.toml"]


@pytest.mark.parametrize("said", ["/var/lib/../lib/jobs/", "/var/lib/jobs"])
def test_a_state_folder_is_below_var_lib_however_it_is_written(
    folder: Path, program: Path, stoker: Run, said: str
) -> None:
    (folder / "my.toml").write_text(f"[daemon]\nstate_dir = '{said}'\n{POOL}")
    assert lines(stoker("systemd", "-c", "my.toml"), "StateDirectory") == ["jobs"]


def test_without_a_configuration_the_places_are_the_usual_ones(program: Path, stoker: Run) -> None:
    result = stoker("systemd", "-c", "/etc/stoker/not-there-yet/stoker.toml")
    assert lines(result, "ListenStream") == ["/run/stoker.sock"]
    assert lines(result, "StateDirectory") == ["stoker"]


def test_a_state_folder_that_systemd_does_not_make_is_made_by_tmpfiles(
    folder: Path, program: Path, stoker: Run
) -> None:
    (folder / "my.toml").write_text(f'[daemon]\nstate_dir = "my state"\n{POOL}')
    result = stoker("systemd", "-c", "my.toml")
    assert lines(result, "StateDirectory") == []
    assert lines(result, "ReadWritePaths") == [f'"{folder}/my state"']
    assert f'd "{folder}/my state" 0700 stoker stoker - -' in result.stdout.splitlines()


def test_systemd_waits_as_long_as_the_configuration_needs(folder: Path, program: Path, stoker: Run) -> None:
    (folder / "my.toml").write_text(f'[daemon]\ndrain_timeout = "5m"\n{POOL}kill_grace = "8s"\nboot_timeout = "4m"\n')
    result = stoker("systemd", "-c", "my.toml")
    assert lines(result, "TimeoutStopSec") == ["320"]
    assert "STOKER_TIMEOUT_STOP=320s" in lines(result, "Environment")
    assert lines(result, "TimeoutStartSec") == ["250"]


def test_instances_share_templates_in_which_each_has_its_own_places(program: Path, stoker: Run) -> None:
    result = stoker("systemd", "--instance", "mail")
    assert "# /etc/systemd/system/stoker@.service\n" in result.stdout
    assert lines(result, "ExecStart") == [f"{program} serve -c /etc/stoker/%i.toml"]
    assert lines(result, "ListenStream") == ["/run/stoker-%i.sock"]
    assert lines(result, "StateDirectory") == ["stoker-%i"]
    assert lines(result, "Requires") == ["stoker@%i.socket"]


def test_the_instances_template_waits_for_the_slowest_of_them(etc: Path, program: Path, stoker: Run) -> None:
    (etc / "stoker").mkdir(parents=True)
    pool = '[pools.p]\ncommand = ["cat"]\n'
    (etc / "stoker/mail.toml").write_text(f'[daemon]\ndrain_timeout = "5m"\n{pool}boot_timeout = "4m"\n')
    (etc / "stoker/quick.toml").write_text(pool)
    (etc / "stoker/broken.toml").write_text("broken")
    assert stoker("systemd", "--instance", "mail", "--install").exit_code == 0
    assert "unchanged" in stoker("systemd", "--instance", "quick", "--install").stdout
    result = stoker("systemd", "--instance", "quick")
    assert (lines(result, "TimeoutStopSec"), lines(result, "TimeoutStartSec")) == (["317"], ["250"])
    assert lines(stoker("systemd", "--instance", "new"), "TimeoutStopSec") == ["317"]


def test_an_instance_with_places_of_its_own_choice_is_refused(etc: Path, program: Path, stoker: Run) -> None:
    (etc / "stoker").mkdir(parents=True)
    (etc / "stoker/mail.toml").write_text(f'[daemon]\nsocket = "/run/mail.sock"\n{POOL}')
    result = stoker("systemd", "--instance", "mail")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "leave daemon.socket and daemon.state_dir away" in result.stderr


@pytest.mark.parametrize("name", ["stoker", "a/b", "", "-x", "ä", "a%b", "a b"])
def test_what_no_unit_can_be_called_is_no_instance(name: str, program: Path, stoker: Run) -> None:
    result = stoker("systemd", "--instance", name)
    assert result.exit_code == 2
    assert "cannot be an instance" in result.stderr


def test_a_users_service_has_no_user_and_the_places_of_whoever_runs_it(
    folder: Path, program: Path, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    result = stoker("systemd", "--user")
    assert f"# {folder}/.config/systemd/user/stoker.service\n" in result.stdout
    assert lines(result, "ExecStart") == [f"{program} serve -c %E/stoker/stoker.toml"]
    assert lines(result, "ListenStream") == ["%t/stoker.sock"]
    assert lines(result, "WantedBy") == ["default.target", "sockets.target"]
    for absent in ("User", "Group", "SocketGroup", "StateDirectory", "ProtectSystem"):
        assert lines(result, absent) == []
    assert "sysusers" not in result.stdout


def test_a_dynamic_user_leaves_the_socket_to_a_group_that_is_there_before(program: Path, stoker: Run) -> None:
    result = stoker("systemd", "--dynamic-user")
    assert lines(result, "DynamicUser") == ["yes"]
    assert lines(result, "Group") == []
    assert lines(result, "SocketGroup") == lines(result, "SupplementaryGroups") == ["stoker-clients"]
    assert "g stoker-clients -\n" in result.stdout


def test_a_user_of_ones_own_is_not_made(program: Path, stoker: Run) -> None:
    result = stoker("systemd", "--run-as", "daemon:sys")
    assert (lines(result, "User"), lines(result, "Group")) == (["daemon"], ["sys"])
    assert lines(result, "SocketGroup") == ["sys"]
    assert "sysusers" not in result.stdout


@pytest.mark.parametrize("name", ["per%cent", 'quo"te', "it's", "two words", "dollar$HOME", "back\\slash"])
def test_odd_paths_are_quoted_for_each_line(folder: Path, name: str, stoker: Run, program: Path) -> None:
    """What systemd makes of them is tested with systemd."""
    place = folder / name
    place.mkdir()
    (place / "my.toml").write_text(f"[daemon]\nsocket = 's'\n{POOL}")
    result = stoker("systemd", "-c", f"{name}/my.toml")
    assert lines(result, "ListenStream") == [f"{place}/s".replace("%", "%%")]
    [start] = lines(result, "ExecStart")
    assert start.count("%%") == name.count("%")
    assert start.count("$$") == name.count("$")


def test_a_path_that_no_unit_file_can_hold_is_refused(folder: Path, stoker: Run, program: Path) -> None:
    result = stoker("systemd", "-c", "a\nb/my.toml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "systemd's files cannot name" in result.stderr


def test_a_program_that_neither_systemd_nor_env_can_run_is_refused(
    stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "this_program", lambda: ("/opt/it's=mine/bin/stoker",))
    result = stoker("systemd")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "systemd cannot run" in result.stderr


def test_install_writes_each_file_and_says_what_comes_next(etc: Path, program: Path, stoker: Run) -> None:
    (etc / "stoker").mkdir(parents=True)
    (etc / "stoker/stoker.toml").write_text(POOL)
    result = stoker("systemd", "--install")
    assert result.exit_code == 0, result.stderr
    units = ["systemd/system/stoker.service", "systemd/system/stoker.socket", "sysusers.d/stoker.conf"]
    assert set(written(etc)) >= set(units)
    assert all(f"wrote {etc / file}\n" in result.stdout for file in units)
    assert all((etc / file).stat().st_mode & 0o777 == 0o644 for file in units)
    steps = ["systemd-sysusers ", "systemctl daemon-reload\n", "systemctl enable --now stoker.socket stoker.service\n"]
    assert sorted(steps, key=result.stdout.index) == steps


def test_a_second_install_changes_nothing(etc: Path, program: Path, stoker: Run) -> None:
    stoker("systemd", "--install")
    result = stoker("systemd", "--install")
    assert result.exit_code == 0
    assert "wrote " not in result.stdout
    assert f"unchanged {etc}/systemd/system/stoker.service\n" in result.stdout


def test_a_file_that_differs_is_kept_and_nothing_else_is_written(etc: Path, program: Path, stoker: Run) -> None:
    mine = etc / "systemd/system/stoker.socket"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    result = stoker("systemd", "--install")
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{mine} is there already and different" in result.stderr
    assert "--force" in result.stderr
    assert written(etc) == ["systemd/system/stoker.socket"]


def test_force_replaces_a_file_and_keeps_the_old_one_beside_it(etc: Path, program: Path, stoker: Run) -> None:
    mine = etc / "systemd/system/stoker.socket"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    result = stoker("systemd", "--install", "--force")
    assert result.exit_code == 0
    assert "ListenStream=" in mine.read_text()
    assert mine.with_name("stoker.socket.old").read_text() == "mine"
    assert "systemctl try-restart stoker.service\n" in result.stdout


def test_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch, program: Path, stoker: Run) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 7)
    result = stoker("systemd", "--install")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "only root may" in result.stderr
    assert "--user" in result.stderr


def test_root_is_led_away_from_a_user_service(etc: Path, program: Path, stoker: Run) -> None:
    result = stoker("systemd", "--install", "--user")
    assert result.exit_code == 2
    assert "leave --user away" in result.stderr


def test_packages_have_them_below_a_root_and_need_none(
    folder: Path, program: Path, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 7)
    for more in ([], ["--user"]):
        assert stoker("systemd", "--install", "--root", "package", *more).exit_code == 0
    assert written(folder / "package/usr/lib") == [
        "systemd/system/stoker.service",
        "systemd/system/stoker.socket",
        "systemd/user/stoker.service",
        "systemd/user/stoker.socket",
        "sysusers.d/stoker.conf",
        "tmpfiles.d/stoker.conf",
    ]


def test_now_runs_each_step_and_stops_at_the_first_that_fails(
    etc: Path, program: Path, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (etc / "stoker").mkdir(parents=True)
    (etc / "stoker/stoker.toml").write_text(POOL)
    commands = etc.parent / "commands"
    commands.mkdir()
    for name, code in (("systemd-sysusers", 0), ("systemctl", 1)):
        (commands / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=":")
    result = stoker("systemd", "--install", "--now")
    assert result.exit_code == 1
    assert "stoker: systemctl daemon-reload failed: " in result.stderr
    assert "systemctl enable" not in result.stdout


def test_now_starts_nothing_that_has_no_configuration(etc: Path, program: Path, stoker: Run) -> None:
    result = stoker("systemd", "--install", "--now")
    assert result.exit_code == 1
    assert f"there is no {etc}/stoker/stoker.toml" in result.stderr
    assert (etc / "systemd/system/stoker.service").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--user", "--strict"),
        ("--user", "--run-as", "daemon"),
        ("--run-as", "daemon", "--dynamic-user"),
        ("--instance", "mail", "-c", "x.toml"),
        ("--install", "--now", "--root", "x"),
        ("--now",),
        ("--force",),
        ("--root", "x"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: tuple[str, ...], stoker: Run) -> None:
    result = stoker("systemd", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert options[0] in result.stderr or options[1] in result.stderr


def test_what_the_sandbox_hides_is_said(etc: Path, stoker: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "this_program", lambda: ("/var/tmp/x/bin/stoker",))
    result = stoker("systemd", "--install")
    assert "the service cannot see /var/tmp/x/bin/stoker (PrivateTmp= hides /var/tmp)" in result.stderr


def test_a_state_folder_or_a_socket_that_the_sandbox_hides_is_said(etc: Path, program: Path, stoker: Run) -> None:
    Path("x.toml").write_text('[daemon]\nstate_dir = "/var/tmp/a%b"\nsocket = "/tmp/s"\n[pools.p]\ncommand = ["cat"]\n')
    result = stoker("systemd", "--install", "-c", "x.toml")
    hidden = "the service cannot see /var/tmp/a%b (PrivateTmp= hides /var/tmp): choose another daemon.state_dir"
    assert hidden in result.stderr
    assert "the service cannot see /tmp/s (PrivateTmp= hides /tmp): choose another daemon.socket" in result.stderr


@pytest.mark.parametrize("closed", ["stoker.toml", "."])
def test_a_configuration_that_the_services_user_may_not_read_is_said(
    etc: Path, program: Path, stoker: Run, closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "_PROTECTED", {})  # /tmp is
    file = etc / "stoker/stoker.toml"
    file.parent.mkdir(parents=True)
    file.write_text(POOL)
    for place in (etc.parent, etc, file.parent, file):  # whatever the umask is
        place.chmod(0o755)
    before = stoker("systemd", "--install").stderr
    assert f"may not read {file}" not in before
    (file.parent / closed).chmod(0o700)
    result = stoker("systemd", "--install")
    assert f"stoker may not read {file}: change the permissions of {file.parent / closed}\n" in result.stderr
    assert result.exit_code == 0


def test_where_there_is_no_script_the_interpreter_runs_the_module(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/src/supervisor/__main__.py"])
    monkeypatch.setattr(sys, "executable", str(folder / "python3"))
    assert installation.this_program() == (str(folder / "python3"), "-m", "supervisor")
