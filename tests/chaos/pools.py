"""The four pools of the chaos run: one that does its work, and three with nothing but trouble."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos.script import POLICY
from tests.workers import command

# What stoker must have for this. Leaving some out (`--without`) tells which of them a failure hangs on.
PARTS = ("fd", "recycling", "memory", "scaling", "rolling", "cgroup")
HEALTHY = "healthy"
BOOT = ("slow=0.05", "fails=0.01")
QUEUE = {
    "max_attempts": POLICY.max_attempts,
    "max_crashes": POLICY.max_crashes,
    "backoff": {"base": "20ms", "cap": "100ms"},
}


class Trouble(NamedTuple):
    """A pool of chaotic workers. `parts`: what scripts for it may use; `tides`: its jobs come in waves."""

    name: str
    settings: dict[str, Any]
    parts: frozenset[str]
    tides: bool
    size: dict[str, int]  # as `resize` takes it

    @property
    def smallest(self) -> int:
        return self.size.get("min", self.size.get("size", 0))


def troubles(parts: Collection[str]) -> list[Trouble]:
    made = [_framed(parts), _tidal(parts), _lazy(parts)]
    return [one._replace(parts=one.parts | {"cgroup"}) for one in made] if "cgroup" in parts else made


def _framed(parts: Collection[str]) -> Trouble:
    """Speaks on its own descriptors, says when it is ready and whom it answers."""
    if "fd" not in parts:
        return _trouble("framed", {}, {"size": 3})
    settings = {"channel": "fd", "ready": True, "require_id": True, "boot_timeout": "3s"}
    return _trouble("framed", settings, {"size": 3}, "--fd", "--ready", "never=0.003", able=("fd", "require_id"))


def _tidal(parts: Collection[str]) -> Trouble:
    """Grows and shrinks, and its workers do not grow old."""
    settings: dict[str, Any] = {"max_jobs": 12, "max_age": "6s"} if "recycling" in parts else {}
    if "scaling" not in parts:
        return _trouble("tidal", settings, {"size": 3}, tides=True)
    settings |= {"grow_after": "100ms", "shrink_after": "500ms"}
    return _trouble("tidal", settings, {"min": 1, "max": 4}, tides=True)


def _lazy(parts: Collection[str]) -> Trouble:
    """Goes when there is nothing to do, or when it has grown fat."""
    settings: dict[str, Any] = {"max_idle": "2s", "max_rss": "20MiB"} if "recycling" in parts else {}
    if "memory" in parts:
        settings["memory_limit"] = "150MiB"
    return _trouble("lazy", settings, {"size": 3}, tides=True, able=("memory",) if "memory" in parts else ())


def _trouble(
    name: str,
    settings: dict[str, Any],
    size: dict[str, int],
    *arguments: str,
    able: tuple[str, ...] = (),
    tides: bool = False,
) -> Trouble:
    argv = command("chaos", *BOOT, *arguments)
    return Trouble(name, {"command": argv, **size, **settings}, frozenset(able), tides, size)


def daemon(cgroup: Path | None) -> dict[str, str]:
    """Its own settings."""
    return {"cgroup": str(cgroup)} if cgroup is not None else {}


def configured(parts: Collection[str], runs: Path) -> dict[str, dict[str, Any]]:
    """As in the configuration file."""
    common = {"kill_grace": "300ms", "max_line": "64KiB", "boot_timeout": "2s", "timeout": "30s"}
    env = {"CHAOS_RUNS": str(runs)}
    chaotic = {one.name: {**common, "env": env, **one.settings} for one in troubles(parts)}
    return {HEALTHY: {**common, "command": command("echo"), "size": 2}, **chaotic}
