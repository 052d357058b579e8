"""`stoker check-worker`, run on an example as its author would run it."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.examples.places import TOP

CHECK_SECS = 240  # to stop waiting for one that hangs


def conforms(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    payloads: Sequence[Any] = (),
    options: Sequence[str] = (),
) -> None:
    """Asserts that nothing is wrong with the worker `command`; `payloads` are some that it understands."""
    argv = [sys.executable, "-m", "supervisor", "check-worker", "--quick", "--json", "--cwd", str(cwd), *options]
    for name, value in (env or {}).items():
        argv += ["--env", f"{name}={value}"]
    for payload in payloads:
        argv += ["--payload", json.dumps(payload)]
    # From the top folder, where the supervisor is that these tests are of.
    done = subprocess.run(
        [*argv, "--", *command], cwd=TOP, capture_output=True, text=True, timeout=CHECK_SECS, check=False
    )
    assert done.returncode in (0, 1), f"check-worker did not come to a judgement: {done.stdout}{done.stderr}"
    report = json.loads(done.stdout)
    wrong = [
        {key: trial[key] for key in ("trial", "found", "cause", "stderr")}
        for trial in report["trials"]
        if trial["level"] == "fail"
    ]
    assert not wrong, json.dumps(wrong, indent=2, ensure_ascii=False)
    assert done.returncode == 0
    assert report["counts"]["ok"] >= 15, "hardly anything was tried"
