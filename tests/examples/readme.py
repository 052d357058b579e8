"""The commands of an example's README, run as they are written there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.examples.places import TOP

RUN_SECS = 300  # to stop waiting for one that hangs


def commands(readme: Path, section: str) -> str:
    """The indented lines of a section, as the text of one shell program."""
    found = re.search(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", readme.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None, f"{readme} has no section {section!r}"
    return "".join(line.removeprefix("    ") for line in re.findall(r"^ {4}.*\n", found[1], re.MULTILINE))


def copied(example: Path, room: Path) -> Path:
    """Its folder elsewhere, without what a user's own runs have left in it: ours leave things, too."""
    left = shutil.ignore_patterns("*.jsonl", "*.joblib", "files.txt", "stoker.sock*", "state", "__pycache__")
    return Path(shutil.copytree(example, room / example.name, ignore=left))


def run(program: str, folder: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    """`stoker` and `python3` are those of the tests."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(TOP), **env}
    return subprocess.run(
        ["sh", "-c", program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_SECS,
        check=False,
    )
