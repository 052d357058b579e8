"""The part of `stoker doctor` that asks systemd how long it waits for a stop of the daemon that runs."""

import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from supervisor.cli.probes import Finding
from supervisor.config.model import Config
from supervisor.config.quantities import format_duration
from supervisor.config.stop_time import VARIABLE, needed, parse_timespan

ANSWER_WITHIN = 5.0  # seconds
CHECK = "stop time"


def stop_time(pid: object, config: Config | None) -> Iterator[Finding]:
    """Nothing where no systemd runs the process `pid`, or it cannot be asked."""
    unit = _unit_of(pid)
    if unit is None or config is None or (shown := _show(unit)) is None:
        return
    yield judge(unit[0], shown, needed(config))


def judge(unit: str, shown: Mapping[str, str], wanted: float) -> Finding:
    """`shown`: the unit's TimeoutStopUSec and Environment; `wanted`: seconds that a stop may take."""
    limit = parse_timespan(shown.get("TimeoutStopUSec", "")) or 0.0
    said = [one.partition("=")[2] for one in _words_of(shown.get("Environment", "")) if one.startswith(f"{VARIABLE}=")]
    told = parse_timespan(said[-1]) if said else None
    found = f"{unit}: a stop may take {format_duration(wanted)}, and systemd waits {_words(limit)}"
    if wanted > limit:
        remedy = "make drain_timeout or kill_grace shorter, or TimeoutStopSec= longer"
        return Finding(CHECK, "fail", found, remedy)
    if told is not None and told != limit:
        remedy = f"set both to the same time, in one drop-in: TimeoutStopSec= and Environment={VARIABLE}="
        return Finding(CHECK, "warn", f"{found}, but {VARIABLE} says {_words(told)}", remedy)
    return Finding(CHECK, "ok", found)


def _words_of(assignments: str) -> list[str]:
    try:
        return shlex.split(assignments)
    except ValueError:  # systemd quotes some things otherwise
        return []


def _words(seconds: float) -> str:
    return "for ever" if seconds == float("inf") else format_duration(seconds)


def _unit_of(pid: object) -> tuple[str, bool] | None:
    """The service that a process belongs to, and whether a user's own systemd has it."""
    try:
        lines = Path(f"/proc/{int(str(pid))}/cgroup").read_text().splitlines()
    except (OSError, ValueError):
        return None
    for line in lines:
        *above, path = line.split(":", 2)
        names = [name for name in path.split("/") if name.endswith(".service")]
        if names and above[1] in ("", "name=systemd") and not names[-1].startswith("user@"):
            return names[-1], any(name.startswith("user@") for name in names)
    return None


def _show(unit: tuple[str, bool]) -> dict[str, str] | None:
    program = shutil.which("systemctl")
    if program is None:
        return None
    name, is_user = unit
    options = [*(["--user"] if is_user else []), "-p", "TimeoutStopUSec", "-p", "Environment", name]
    try:
        done = subprocess.run(
            [program, "show", *options], capture_output=True, text=True, timeout=ANSWER_WITHIN, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
