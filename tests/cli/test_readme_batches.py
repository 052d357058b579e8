"""The section of the README on batches: its commands as they are written, and what they give against what a plain loop
over the same files finds."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_newcomer import README, serving

EXAMPLE = README.parent / "examples" / "stdlib-index"
TOLD = re.compile(r"stoker: batch \S+: \d+%  .* passed of .*")  # of a watch that takes its time
WITHIN = 120  # seconds; two processes parse the modules of the standard library


@pytest.fixture
def section(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """In a folder with what it asks for; a person has the scripts of this environment on the PATH."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for name in ("stoker.toml", "index_worker.py"):
        shutil.copy(EXAMPLE / name, folder)
    return README.read_text().split("## Batches\n")[1].split("\n## ")[0]


def commands(section: str, first: str) -> str:
    """The block of indented lines that begins so."""
    blocks = "\n".join(line if line.startswith("    ") else "" for line in section.splitlines()).split("\n\n")
    [block] = [block for block in blocks if block.strip().startswith(first)]
    return block


def run(script: str, *, code: int = 0) -> str:
    done = subprocess.run(
        ["sh", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WITHIN, check=False
    )
    assert done.returncode == code, done.stderr
    assert all(TOLD.fullmatch(line) for line in done.stderr.splitlines()), done.stderr
    return done.stdout


def read(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def plainly(folder: Path, lines: list[Any]) -> list[Any]:
    """What the worker's own function finds in each file."""
    facts = runpy.run_path(str(folder / "index_worker.py"))["facts"]
    return [facts(line["path"]) for line in lines]


@pytest.mark.long
def test_the_commands_of_a_batch_do_what_they_say(folder: Path, section: str) -> None:
    script = commands(section, "lib=")
    with serving("stoker serve 2> log", folder) as daemon:  # a pipe that nobody reads would hold it up
        watched, error, header, row = run(script).splitlines()
        daemon.terminate()
        daemon.communicate(timeout=WITHIN)
    *modules, typo = read(folder / "modules.jsonl")
    assert len(modules) > 100
    count = len(modules)
    assert f" failed: {count} of {count + 1} lines passed, 1 failed, in " in watched
    answers = sorted(read(folder / "facts.jsonl"), key=lambda one: one["line"])
    wanted = [
        {"line": number, "custom_id": line["custom_id"], "result": facts}
        for number, (line, facts) in enumerate(zip(modules, plainly(folder, modules), strict=True), 1)
    ]
    assert answers == wanted
    refused = json.loads(error)
    assert (refused["line"], refused["custom_id"]) == (count + 1, typo["custom_id"])
    assert (refused["error"]["cause"], "asst.py" in refused["error"]["message"]) == ("error", True)
    assert header.split()[:3] == ["ID", "QUEUE", "STATE"]
    assert row.split()[1:6] == ["index", "failed", str(count + 1), str(count), "1"]


@pytest.mark.long
def test_the_one_liner_without_a_daemon_gives_the_same_in_the_order_of_the_lines(folder: Path, section: str) -> None:
    making = takewhile(lambda line: "stoker" not in line, commands(section, "lib=").splitlines())
    run("\n".join(making))
    *modules, _ = read(folder / "modules.jsonl")
    run(f"{commands(section, 'stoker map')} 2> told", code=1)  # there is a line that fails
    assert read(folder / "results.jsonl") == plainly(folder, modules)
    [refused] = read(folder / "failed.jsonl")
    assert (refused["line"], refused["error"]["cause"]) == (len(modules) + 1, "error")
    assert "1 of " in (folder / "told").read_text()
