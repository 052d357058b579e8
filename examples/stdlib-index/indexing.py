"""The work, in two ways: through the daemon's warm workers, and with one process per file to compare."""

import json
import subprocess
import sys
import sysconfig
import time
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from protocol.client import Client

HERE = Path(__file__).resolve().parent
WORKER = [sys.executable, str(HERE / "index_worker.py")]  # run by this very Python
QUEUE = "index"
SUBMIT_AT_ONCE = 5000  # jobs in one submit_many; the daemon takes 10,000 unless told otherwise
WAIT_AT_ONCE = 16  # jobs in one wait: often enough for the progress bar, seldom enough not to be felt

LIBRARY = Path(sysconfig.get_path("stdlib")).resolve()


def configuration(workers: int) -> dict[str, Any]:
    """stoker.toml, with so many workers, run by this Python."""
    config = tomllib.loads((HERE / "stoker.toml").read_text(encoding="utf-8"))
    config["pools"]["index"] |= {"size": workers, "command": WORKER}
    return config


def library_files() -> list[Path]:
    """Every Python file of the running interpreter's standard library; what pip or apt added is not part of it."""
    added = {"site-packages", "dist-packages"}
    files = (path for path in LIBRARY.rglob("*.py") if added.isdisjoint(path.relative_to(LIBRARY).parts))
    return sorted(path for path in files if path.is_file())


def name_of(path: Path) -> str:
    return path.relative_to(LIBRARY).as_posix()


def spread(paths: Sequence[Path], count: int) -> list[Path]:
    """`count` of them from the whole range of sizes, the smallest and the biggest among them."""
    if count >= len(paths):
        return list(paths)
    by_size = sorted(paths, key=lambda path: path.stat().st_size)
    step = (len(by_size) - 1) / max(1, count - 1)
    return [by_size[round(number * step)] for number in range(count)]


def through_stoker(
    client: Client, paths: Sequence[Path], on_done: Callable[[int], None] = lambda _: None
) -> tuple[list[dict[str, Any]], float]:
    """One job for each path: (the jobs once they are final, in the same order; seconds from submit to last result).

    `on_done` hears how many more are final, again and again.
    """
    started = time.perf_counter()
    ids: list[str] = []
    for first in range(0, len(paths), SUBMIT_AT_ONCE):
        some = paths[first : first + SUBMIT_AT_ONCE]
        jobs = [{"queue": QUEUE, "payload": {"path": str(path)}, "name": name_of(path)} for path in some]
        ids += [submitted["id"] for submitted in client.submit_many(jobs)]
    final: list[dict[str, Any]] = []
    for first in range(0, len(ids), WAIT_AT_ONCE):
        done = client.wait_all(ids[first : first + WAIT_AT_ONCE])
        final += done
        on_done(len(done))
    return final, time.perf_counter() - started


def one_process_each(paths: Sequence[Path], at_once: int) -> tuple[list[dict[str, Any]], float]:
    """The same worker started anew for each path, `at_once` at a time: (its replies, seconds)."""

    def run(path: Path) -> dict[str, Any]:
        request = json.dumps({"id": str(path), "payload": {"path": str(path)}}) + "\n"
        done = subprocess.run(WORKER, input=request, capture_output=True, text=True, check=True)
        reply: dict[str, Any] = json.loads(done.stdout)
        return reply

    started = time.perf_counter()
    with ThreadPoolExecutor(at_once) as threads:
        replies = list(threads.map(run, paths))
    return replies, time.perf_counter() - started
