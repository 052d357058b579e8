"""The example workers: what each needs, how it is run, and what it is able to do."""

import os
import shutil
import subprocess
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from tests.examples.conversation import Conversation
from tests.examples.places import WORKERS

BUILD_SECS = 300
ALL_KINDS = frozenset({"words", "factor", "count"})

# Stricter than a user's, and faster to build.
BUILD_FLAGS = {
    "CFLAGS": "-O1 -std=c11 -Wall -Wextra -Wpedantic -Werror",
    "JAVACFLAGS": "-Xlint:all,-serial -Werror",
    "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0",
}


@dataclass(frozen=True)
class Language:
    """A folder of examples/workers. `needs` are Debian's packages, `probe` a command that succeeds where they are."""

    name: str
    needs: str
    probe: tuple[str, ...]
    built: bool = False
    kinds: frozenset[str] = field(default=ALL_KINDS)

    @property
    def source(self) -> Path:
        return WORKERS / self.name

    @property
    def source_file(self) -> str:
        return {"java": "Worker.java", "rust": "src/main.rs"}.get(self.name) or next(self.source.glob("worker.*")).name

    def pool(self) -> dict[str, object]:
        """Its pool, as its own stoker.toml has it."""
        pool: dict[str, object] = tomllib.loads((self.source / "stoker.toml").read_text())["pools"][self.name]
        return pool

    def command(self) -> list[str]:
        command = self.pool()["command"]
        assert isinstance(command, list)
        return command

    def env(self) -> dict[str, str]:
        own = self.pool().get("env", {})
        assert isinstance(own, dict)
        return own

    def start(self, folder: Path, **env: str) -> Conversation:
        """The worker as a pool starts it; `folder` is where it is, built if need be."""
        return Conversation(self.command(), env={**self.env(), **env}, cwd=folder)

    @cache  # noqa: B019  there are as many as there are languages
    def missing(self) -> str | None:
        """Why it cannot run here; None when it can."""
        try:
            found = subprocess.run(self.probe, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            found = False
        return None if found else f"{self.name} needs the packages {self.needs}, which are not all installed"


TCL = "if {[catch {package require tdom}]} {exit 1}"
GSON = "/usr/share/java/gson.jar"
JANSSON = "echo '#include <jansson.h>' | cc -E - >/dev/null"
CRATES = "command -v cargo && ls -d /usr/share/cargo/registry/serde_json-* /usr/share/cargo/registry/serde_derive-*"

OF_A_DAEMON = ("stoker.sock*", "state")  # of one that a user has started in the folder
DAEMONS = shutil.ignore_patterns(*OF_A_DAEMON)
USERS = shutil.ignore_patterns("worker", "classes", "target", "Cargo.lock", *OF_A_DAEMON)  # and a user's own build

LANGUAGES = (
    Language("bash", "bash jq", ("bash", "-c", "command -v jq factor")),
    Language("c", "gcc libjansson-dev", ("sh", "-c", JANSSON), built=True),
    Language("go", "golang-go", ("go", "version"), built=True),
    Language("java", "default-jdk-headless libgoogle-gson-java", ("sh", "-c", f"command -v javac && ls {GSON}"), True),
    Language("lua", "lua5.4 lua-dkjson", ("lua5.4", "-e", "require 'dkjson'")),
    Language("node", "nodejs", ("node", "--version")),
    Language("perl", "perl", ("perl", "-MJSON::PP", "-e", "1")),
    Language("php", "php-cli php-mbstring", ("php", "-r", "mb_strlen('x');")),
    Language("python", "python3", ("python3", "--version")),
    Language("ruby", "ruby", ("ruby", "-rjson", "-e", "1")),
    Language("rust", "cargo librust-serde-json-dev librust-serde-derive-dev", ("sh", "-c", CRATES), built=True),
    Language("sh", "dash", ("sh", "-c", "exit 0"), kinds=frozenset({"count"})),
    Language("tcl", "tcl tdom", ("sh", "-c", f"echo '{TCL}' | tclsh")),
)


class Workshop:
    """Where the workers are that can be started: their own folders, or copies in `room` of those to be built.

    `room` may be there from an earlier run; then make and cargo build only what has changed since.
    """

    def __init__(self, room: Path) -> None:
        self._room = room
        self._ready: dict[str, Path] = {}

    def folder(self, language: Language) -> Path:
        """Skips where the language is not installed."""
        if language.name not in self._ready:
            if why := language.missing():
                pytest.skip(why)
            self._ready[language.name] = self._build(language) if language.built else language.source
        return self._ready[language.name]

    def altered(self, language: Language, room: Path, line: str, more: str) -> Path:
        """A copy in `room` whose source has `more` after the line `line`; skips where it is not installed."""
        folder = room / language.name
        shutil.copytree(self.folder(language), folder, ignore=DAEMONS)
        source = folder / language.source_file
        text = source.read_text(encoding="utf-8")
        (found,) = [other for other in text.splitlines() if other.strip() == line]
        indent = found[: -len(line)]
        source.write_text(text.replace(found, f"{found}\n{indent}{more}"), encoding="utf-8")
        if language.built:
            make(room, language)
        return folder

    def _build(self, language: Language) -> Path:
        folder = self._room / language.name
        shutil.copytree(language.source, folder, dirs_exist_ok=True, ignore=USERS)
        make(self._room, language)
        return folder


def make(room: Path, language: Language) -> None:
    """Builds what is in room/LANGUAGE, as the Makefile of the examples does it."""
    shutil.copy2(WORKERS / "Makefile", room)
    built = subprocess.run(
        ["make", "--silent", "-C", str(room), language.name],
        env={**os.environ, **BUILD_FLAGS},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_SECS,
        check=False,
    )
    assert built.returncode == 0, built.stdout
