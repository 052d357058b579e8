"""The work, in two ways: through the daemon's warm workers, and with one process per text to compare."""

import json
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol.client import Client

HERE = Path(__file__).resolve().parent
WORKER = [sys.executable, str(HERE / "worker.py")]  # run by this very Python
POOL = "language"
LOOK_AGAIN_SECS = 0.05


class DetectionFailed(Exception):
    """The pool did not boot, a job was not done, or the two ways disagree."""


@dataclass(frozen=True)
class Text:
    language: str
    words: str


def texts() -> list[Text]:
    """Those of texts.txt, with the language that each is known to be in."""
    lines = (HERE / "texts.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(": ") for line in lines if line and not line.startswith("#"))
    return [Text(language, words) for language, _, words in pairs]


def spread(every: Sequence[Text], count: int) -> list[Text]:
    """So many of them, evenly from first to last."""
    count = min(count, len(every))
    return [every[number * len(every) // count] for number in range(count)]


def configuration(workers: int) -> dict[str, Any]:
    """stoker.toml, with so many workers, run by this Python."""
    config = tomllib.loads((HERE / "stoker.toml").read_text(encoding="utf-8"))
    config["pools"][POOL] |= {"size": workers, "command": WORKER}
    return config


def wait_until_ready(client: Client) -> float:
    """Seconds until every worker has loaded its models; raises DetectionFailed when one cannot."""
    started = time.perf_counter()
    while True:
        (pool,) = client.pools(POOL)
        if pool["state"] == "degraded":
            raise DetectionFailed(f"the pool does not boot: {pool['reason']}")
        if pool["idle"] == pool["size"]:
            return time.perf_counter() - started
        time.sleep(LOOK_AGAIN_SECS)


def through_stoker(client: Client, some: Sequence[Text]) -> tuple[list[dict[str, Any]], float]:
    """One job for each text: (their results, in order; seconds from submit to last result)."""
    started = time.perf_counter()
    jobs = [{"queue": POOL, "payload": {"text": text.words}, "name": text.language} for text in some]
    final = client.wait_all([submitted["id"] for submitted in client.submit_many(jobs)])
    seconds = time.perf_counter() - started
    for job in final:
        if job["state"] != "done":
            raise DetectionFailed(f"the job {job['id']} is {job['state']}: {job['error']}")
    return [job["result"] for job in final], seconds


def one_process_each(some: Sequence[Text], at_once: int) -> tuple[list[dict[str, Any]], float]:
    """The same worker started anew for each text, `at_once` at a time: (its results, seconds)."""

    def run(text: Text) -> dict[str, Any]:
        request = json.dumps({"id": "1", "payload": {"text": text.words}}) + "\n"
        done = subprocess.run([*WORKER, "--lazily"], input=request, capture_output=True, text=True, check=True)
        result: dict[str, Any] = json.loads(done.stdout)["result"]
        return result

    started = time.perf_counter()
    with ThreadPoolExecutor(at_once) as threads:
        results = list(threads.map(run, some))
    return results, time.perf_counter() - started
