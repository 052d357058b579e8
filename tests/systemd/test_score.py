"""What systemd says of the sandbox's tightness."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from supervisor.units.files import Service, render
from tests.systemd.examples import FOLDER


@pytest.fixture(scope="module")
def program() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed (Debian package systemd)")
    if version(found) < 250:
        pytest.skip("this systemd-analyze cannot rate files (systemd 250 can)")
    return found


def version(program: str) -> int:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[1])


def rate(program: str, folder: Path, service: Service, *, most: float) -> str:
    """What systemd-analyze says of a unit in the end; its exit code must say that it is no worse than `most` of 10."""
    for path, text in render(service).items():
        (folder / Path(path).name).write_text(text)
    unit = folder / f"{service.unit}.service"
    done = subprocess.run(
        [program, "security", "--offline=yes", "--no-pager", f"--threshold={most * 10:.0f}", unit],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize("kind", [{}, {"instances": True}, {"dynamic": True}], ids=["fixed", "instances", "dynamic"])
def test_the_default_unit_is_rated_2_or_better_and_the_strict_one_1(
    program: str, tmp_path: Path, kind: dict[str, Any]
) -> None:
    rate(program, tmp_path, Service(**kind), most=2.0)
    rate(program, tmp_path, Service(strict=True, **kind), most=1.0)


def test_the_ratings_are_what_the_document_says(program: str, tmp_path: Path) -> None:
    text = (FOLDER / "README.md").read_text()
    said = re.search(r"\(systemd 252\) rates the default one\s+([\d.]+) and the strict one ([\d.]+),", text)
    assert said is not None
    if version(program) != 252:
        pytest.skip("each systemd has its own table of what a line is worth")
    for rating, strict in zip(said.groups(), (False, True), strict=True):
        assert f": {rating} " in rate(program, tmp_path, Service(strict=strict), most=float(rating))
