"""Index the standard library: one job for each of its files, through warm workers, and a page about what was found.

Starts a daemon of its own in a temporary folder, talks to it over its socket, and stops it at the end. Exits with 0
when every job ended as it should, 1 otherwise.
"""

import argparse
import ast
import os
import platform
import signal
import statistics
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from indexing import LIBRARY, configuration, library_files, name_of, one_process_each, spread, through_stoker
from local_daemon import DaemonFailed, LocalDaemon
from page import Speed, make_console, show
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text
from summary import File, summarize

from protocol.client import Client, ClientError

WARM_ROUNDS = 3  # over a sample that takes a tenth of a second; the median counts


class Unexpected(Exception):
    """A job did not end as it should have."""


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the daemon must not outlive us
    console = make_console()
    paths = library_files()
    if options.limit:
        paths = sorted(spread(paths, options.limit))
    version = f"{platform.python_implementation()} {platform.python_version()}"
    console.print(
        f"[bold]The standard library of {version}[/bold] in {LIBRARY}, read by {options.workers} warm workers"
    )
    try:
        with tempfile.TemporaryDirectory(prefix="stoker-demo-") as folder:
            run(console, Path(options.folder or folder), paths, options.workers, options.sample)
    except (Unexpected, DaemonFailed, ClientError) as error:
        Console(stderr=True, highlight=False).print(f"demo: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 130  # the daemon is stopped by now
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    cpus = len(os.sched_getaffinity(0))
    parser.add_argument("--workers", type=positive, default=cpus, metavar="N", help="size of the pool (%(default)s)")
    parser.add_argument("--limit", type=positive, metavar="N", help="only that many files, of all sizes (all)")
    parser.add_argument("--sample", type=int, default=20, metavar="N", help="files for the comparison (%(default)s)")
    parser.add_argument("--folder", metavar="DIR", help="where socket, state and log go, and stay (a temporary one)")
    return parser.parse_args()


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected 1 or more")
    return number


def run(console: Console, folder: Path, paths: Sequence[Path], workers: int, sample: int) -> None:
    with LocalDaemon(folder, configuration(workers)) as daemon, Client(daemon.socket) as client:
        with progress_bar(console) as progress:
            bar = progress.add_task("indexing", total=len(paths))
            jobs, seconds = through_stoker(client, paths, lambda done: progress.advance(bar, done))
        files, failures = sort_out(paths, jobs)
        indexed = [LIBRARY / file.name for file in files]
        speed = None
        if sample > 0 and indexed:
            speed = compare(client, spread(indexed, sample), workers, len(paths), seconds)
    show(console, summarize(files), failures, speed)


class Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f} jobs/s", style="cyan")


def progress_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        Rate(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def sort_out(paths: Sequence[Path], jobs: Sequence[dict[str, Any]]) -> tuple[list[File], list[tuple[str, str]]]:
    """(What was indexed, (file, message) of what is no Python). Raises Unexpected for every other ending.

    A worker's word is not enough for the second: this process must fail to parse the file as well.
    """
    files, failures = [], []
    for path, job in zip(paths, jobs, strict=True):
        if job["state"] == "done":
            files.append(File(name_of(path), job["result"]))
        elif job["state"] == "failed" and job["error"]["cause"] == "error" and not is_python(path):
            failures.append((name_of(path), job["error"]["message"]))
        else:
            said = job["error"]["message"] if job["error"] else "no error was given"
            raise Unexpected(f"the job {job['id']} for {path} is {job['state']}: {said}")
    return files, failures


def is_python(path: Path) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def compare(client: Client, sample: list[Path], workers: int, files: int, seconds: float) -> Speed:
    """The sample once more through the daemon, and with a process for each file; both must say the same."""
    rounds = [through_stoker(client, sample) for _ in range(WARM_ROUNDS)]
    replies, spawned = one_process_each(sample, workers)
    for path, job, reply in zip(sample, rounds[0][0], replies, strict=True):
        if job["state"] != "done" or job["result"] != reply.get("result"):
            raise Unexpected(f"{path} gave one answer from a warm worker and another from a new process")
    warm = statistics.median(taken for _, taken in rounds)
    return Speed(workers, files, seconds, len(sample), warm, spawned)


if __name__ == "__main__":
    sys.exit(main())
