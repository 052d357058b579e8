"""The part of `stoker doctor` that asks systemd about the daemon's units, where there is a systemd to ask."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from supervisor.cli.probes import Finding
from supervisor.cli.probes_unit import judge
from supervisor.config.model import Config
from supervisor.config.stop_time import needed, parse_timespan
from supervisor.daemon.journal_limit import NO_LIMIT

ASKED_WITHIN = 5.0  # seconds
BOOTED = Path("/run/systemd/system")
_NUMBER = re.compile(r"systemd (\d+)")

Shown = Mapping[str, str]


def units(config: Config | None, unit: str) -> Iterator[Finding]:
    if not BOOTED.is_dir() or shutil.which("systemctl") is None:
        yield Finding("systemd", "ok", "is not what runs this machine")
        return
    told = _ask("--version")
    number = _NUMBER.search(told or "")
    service = _show(unit)
    if told is None or service is None:
        told_nothing = f"systemctl told nothing of {unit}: it failed, or took more than {ASKED_WITHIN:g} s"
        yield Finding("systemd", "warn", told_nothing, f"`systemctl show {unit}` says why; run doctor as root")
        return
    if service.get("LoadState") != "loaded":
        yield Finding("systemd", "ok", f"version {number[1] if number else '?'}, and no {unit}")
        return
    findings = [*_state(unit, service), *_settings(config, unit, service)]
    yield from findings or [
        Finding("systemd", "ok", f"version {number[1] if number else '?'}, {unit} is as it should be")
    ]
    yield from _socket(unit, service)


def _state(unit: str, service: Shown) -> Iterator[Finding]:
    if service.get("NeedDaemonReload") == "yes":
        yield Finding("systemd", "warn", f"{unit} was changed since systemd read it", "systemctl daemon-reload")
    if service.get("SubState") == "auto-restart":
        yield Finding(
            "systemd",
            "fail",
            f"{unit} does not stay up, and is started again and again ({service.get('Result', 'no reason known')})",
            f"journalctl -u {unit} says why",
        )
    if service.get("ActiveState") == "failed":
        yield Finding(
            "systemd",
            "fail",
            f"{unit} has failed ({service.get('Result', 'no reason known')})",
            f"journalctl -u {unit} says why; then: systemctl restart {unit}",
        )


def _settings(config: Config | None, unit: str, service: Shown) -> Iterator[Finding]:
    """What an own unit, or a drop-in, easily gets wrong."""

    def warn(told: str, line: str) -> Finding:
        return Finding("systemd", "warn", f"{unit}: {told}", f"systemctl edit {unit}, and below [Service]: {line}")

    wanted: dict[str, tuple[Callable[[str], bool], str, str]] = {
        "Type": (lambda value: value.startswith("notify"), "systemd does not hear when stoker is ready", "Type=notify"),
        "Delegate": (lambda value: value == "yes", "workers get no cgroups of their own", "Delegate=yes"),
        "OOMPolicy": (
            lambda value: value == "continue",
            "one worker that runs out of memory stops all",
            "OOMPolicy=continue",
        ),
        "KillMode": (
            lambda value: value == "mixed",
            "workers get SIGTERM before their jobs are done",
            "KillMode=mixed",
        ),
    }
    for name, (good, told, line) in wanted.items():
        if name in service and not good(service[name]):
            yield warn(told, line)
    if _drops_lines(service):
        yield warn("in a burst journald drops lines", "LogRateLimitIntervalSec=1s and LogRateLimitBurst=1000000")
    if config is None:
        return
    if service.get("ActiveState") != "active" and "TimeoutStopUSec" in service:  # else it is judged with the daemon
        verdict = judge(unit, service, needed(config))
        if verdict.level != "ok":
            yield verdict


def _drops_lines(service: Shown) -> bool:
    """Whether journald takes less of the unit than stoker may say. An interval of 0 is its usual limit, not none."""
    if "LogRateLimitIntervalUSec" not in service:
        return False
    told = service["LogRateLimitIntervalUSec"]
    interval = 0.0 if told == "0" else parse_timespan(told) or 0.0
    return interval == 0 or int(service.get("LogRateLimitBurst", "0")) < NO_LIMIT * interval


def _socket(unit: str, service: Shown) -> Iterator[Finding]:
    name = unit.removesuffix(".service") + ".socket"
    socket = _show(name)
    if socket is None or socket.get("LoadState") != "loaded":
        return
    state, daemon = socket.get("ActiveState"), service.get("ActiveState")
    if state == "active" and daemon in ("failed", "inactive"):
        told = f"{name} listens, and {unit} is {daemon}: clients wait for an answer"
        if daemon == "failed":
            yield Finding("systemd", "fail", told, f"systemctl restart {unit}")
        else:
            yield Finding("systemd", "warn", told, f"systemctl start {unit}")
    elif state != "active":
        remedy = f"systemctl enable --now {name}"
        yield Finding("systemd", "warn", f"{name} is {state}: clients are refused while {unit} restarts", remedy)
    else:
        yield Finding("systemd", "ok", f"{name} listens")


def _show(unit: str) -> Shown | None:
    names = (
        *(
            "LoadState",
            "ActiveState",
            "SubState",
            "Result",
            "NeedDaemonReload",
            "Type",
            "Delegate",
            "OOMPolicy",
            "KillMode",
        ),
        *("LogRateLimitIntervalUSec", "LogRateLimitBurst", "TimeoutStopUSec", "Environment"),
    )
    told = _ask("show", "--property", ",".join(names), "--", unit)
    if told is None:
        return None
    return dict(line.split("=", 1) for line in told.splitlines() if "=" in line)


def _ask(*arguments: str) -> str | None:
    """None: no answer."""
    environ = {**os.environ, "LC_ALL": "C", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
    try:
        done = subprocess.run(
            ["systemctl", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environ,
            timeout=ASKED_WITHIN,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
