"""stoker doctor, of systemd: by a systemctl that says what a test wants."""

from pathlib import Path

import pytest

from supervisor.cli import probes_systemd
from supervisor.cli.probes import Finding
from supervisor.config.load import load
from supervisor.config.model import Config

GOOD = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "Result": "success",
    "NeedDaemonReload": "no",
    "Type": "notify",
    "Delegate": "yes",
    "OOMPolicy": "continue",
    "KillMode": "mixed",
    "LogRateLimitIntervalUSec": "1s",
    "LogRateLimitBurst": "1000000",
    "TimeoutStopUSec": "45s",
}


class Systemctl:
    """A program of that name, first on the PATH."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "bin"
        self._folder.mkdir()
        self.service: dict[str, str] = dict(GOOD)
        self.socket: dict[str, str] = {"LoadState": "loaded", "ActiveState": "active"}
        self.script = ""

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", f"{self._folder}:/usr/bin:/bin")

    def write(self) -> None:
        for name, shown in (("service", self.service), ("socket", self.socket)):
            (self._folder / name).write_text("".join(f"{key}={value}\n" for key, value in shown.items()))
        script = self.script or (
            f'case "$*" in --version) echo "systemd 252 (252.1)";; *.socket) cat {self._folder}/socket;; '
            f"*) cat {self._folder}/service;; esac"
        )
        program = self._folder / "systemctl"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    monkeypatch.setattr(probes_systemd, "BOOTED", tmp_path)
    made = Systemctl(tmp_path)
    made.install(monkeypatch)
    return made


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "stoker.toml"
    file.write_text('[pools.p]\ncommand = ["cat"]\n')
    return load(file, environ={"PATH": "/usr/bin:/bin", "HOME": "/root"}, is_root=True)


def look(systemctl: Systemctl, config: Config | None) -> list[Finding]:
    systemctl.write()
    return list(probes_systemd.units(config, "stoker.service"))


def test_a_unit_as_it_should_be_is_ok(systemctl: Systemctl, config: Config) -> None:
    found = look(systemctl, config)
    assert [one.level for one in found] == ["ok", "ok"]
    assert found[0].found == "version 252, stoker.service is as it should be"


@pytest.mark.parametrize(
    ("name", "value", "level", "part"),
    [
        ("Type", "simple", "warn", "Type=notify"),
        ("Delegate", "no", "warn", "Delegate=yes"),
        ("OOMPolicy", "stop", "warn", "OOMPolicy=continue"),
        ("KillMode", "control-group", "warn", "KillMode=mixed"),
        ("LogRateLimitIntervalUSec", "30s", "warn", "LogRateLimitIntervalSec=1s and LogRateLimitBurst=1000000"),
        ("LogRateLimitIntervalUSec", "0", "warn", "LogRateLimitIntervalSec=1s and LogRateLimitBurst=1000000"),
        ("LogRateLimitBurst", "10000", "warn", "LogRateLimitIntervalSec=1s and LogRateLimitBurst=1000000"),
        ("NeedDaemonReload", "yes", "warn", "systemctl daemon-reload"),
    ],
)
def test_what_a_unit_gets_wrong_is_said_with_the_line_that_mends_it(
    systemctl: Systemctl, config: Config, name: str, value: str, level: str, part: str
) -> None:
    systemctl.service[name] = value
    found = look(systemctl, config)[0]
    assert (found.level, part in found.remedy) == (level, True)


def test_of_a_service_that_does_not_run_the_time_for_a_stop_is_judged_by_the_unit_alone(
    systemctl: Systemctl, config: Config
) -> None:
    """Of one that runs, where the daemon is looked at: once is enough."""
    systemctl.service["TimeoutStopUSec"] = "20s"
    assert [one.check for one in look(systemctl, config)] == ["systemd", "systemd"]
    systemctl.service["ActiveState"] = "inactive"
    found = look(systemctl, config)[0]
    assert (found.check, found.level) == ("stop time", "fail")
    assert found.remedy.endswith("or TimeoutStopSec= longer")


def test_a_failed_service_fails_and_so_does_a_socket_that_listens_for_it(systemctl: Systemctl, config: Config) -> None:
    systemctl.service |= {"ActiveState": "failed", "Result": "exit-code"}
    found = look(systemctl, config)
    assert [one.level for one in found] == ["fail", "fail"]
    assert "has failed (exit-code)" in found[0].found
    assert "clients wait" in found[1].found


def test_a_service_that_does_not_stay_up_fails(systemctl: Systemctl, config: Config) -> None:
    systemctl.service |= {"ActiveState": "activating", "SubState": "auto-restart", "Result": "exit-code"}
    found = look(systemctl, config)[0]
    assert (found.level, "does not stay up" in found.found) == ("fail", True)


def test_a_socket_unit_that_does_not_listen_is_a_warning(systemctl: Systemctl, config: Config) -> None:
    systemctl.socket["ActiveState"] = "inactive"
    assert look(systemctl, config)[-1].remedy == "systemctl enable --now stoker.socket"


def test_a_machine_without_the_unit_is_ok(systemctl: Systemctl, config: Config) -> None:
    systemctl.service = {"LoadState": "not-found"}
    assert [(one.level, one.found) for one in look(systemctl, config)] == [("ok", "version 252, and no stoker.service")]


@pytest.mark.parametrize("script", ["exit 1", "sleep 100"])
def test_a_systemctl_that_fails_or_hangs_is_a_warning(
    systemctl: Systemctl, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes_systemd, "ASKED_WITHIN", 0.2)
    systemctl.script = f"exec {script}" if script != "exit 1" else script
    assert [one.level for one in look(systemctl, None)] == ["warn"]
