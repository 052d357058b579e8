"""What a warm worker is worth when its program loads a model for seconds: texts in 32 languages, told apart.

Starts a daemon of its own in a temporary folder, puts every text through it, then runs the same program anew for some
of them, and says what a text costs in each way. Exits with 0 when all jobs were done and both ways agree, else with 1.
"""

import argparse
import importlib.util
import signal
import statistics
import sys
import tempfile
from math import ceil
from pathlib import Path

from detecting import (
    DetectionFailed,
    Text,
    configuration,
    one_process_each,
    spread,
    texts,
    through_stoker,
    wait_until_ready,
)
from local_daemon import DaemonFailed, LocalDaemon

from protocol.client import Client, ClientError

ROUNDS = 5  # a text takes milliseconds, so all of them several times; the median counts


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the daemon must not outlive us
    if importlib.util.find_spec("lingua") is None:
        requirements = Path(__file__).with_name("requirements.txt")
        return fail(f"lingua is not installed; run {sys.executable} -m pip install -r {requirements}")
    try:
        with tempfile.TemporaryDirectory(prefix="stoker-demo-") as folder:
            run(Path(options.folder or folder), options.workers, options.cold)
    except (DetectionFailed, DaemonFailed, ClientError) as error:
        return fail(str(error))
    except KeyboardInterrupt:
        return 130  # the daemon is stopped by now
    return 0


def fail(message: str) -> int:
    print(f"demo: {message}", file=sys.stderr)
    return 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workers", type=positive, default=1, metavar="N", help="each takes 1.3 GB (%(default)s)")
    parser.add_argument("--cold", type=positive, default=8, metavar="N", help="texts with a new process (%(default)s)")
    parser.add_argument("--folder", metavar="DIR", help="where socket, state and log go, and stay (a temporary one)")
    return parser.parse_args()


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected 1 or more")
    return number


def run(folder: Path, workers: int, cold: int) -> None:
    every = texts()
    some = spread(every, cold)
    with LocalDaemon(folder, configuration(workers)) as daemon, Client(daemon.socket) as client:
        boot = wait_until_ready(client)
        found, first = through_stoker(client, every)
        rounds = [first] + [through_stoker(client, every)[1] for _ in range(ROUNDS - 1)]
        warm_some = through_stoker(client, some)[0]
    show_languages(every, found)
    cold_some, seconds = one_process_each(some, workers)
    for text, warm_result, cold_result in zip(some, warm_some, cold_some, strict=True):
        if warm_result != cold_result:
            raise DetectionFailed(f"{text.words!r}: a warm worker says {warm_result}, a new process {cold_result}")
    show_costs(boot, len(every), statistics.median(rounds), len(some), seconds, workers)


def show_languages(every: list[Text], found: list[dict[str, object]]) -> None:
    wrong = [(text, result) for text, result in zip(every, found, strict=True) if result["language"] != text.language]
    languages = len({text.language for text in every})
    print(f"{len(every)} texts in {languages} languages, {len(every) - len(wrong)} of them told right")
    for text, result in wrong:
        print(f"    {text.language}, not {result['language']} ({result['confidence']:.0%} sure): {text.words}")


def show_costs(boot: float, jobs: int, warm: float, cold_jobs: int, cold: float, workers: int) -> None:
    each, alone = warm / jobs, cold / cold_jobs
    at_once = f", {workers} at once" if workers > 1 else ""
    rows = (
        (f"{boot:.2f} s", f"once{at_once}: until the pool is ready, with the models of 75 languages"),
        (
            f"{each * 1000:.2f} ms",
            f"a text, warm: {jobs} jobs in {warm:.3f} s through stoker, each synced to disk{at_once}",
        ),
        (
            f"{alone:.2f} s",
            f"a text, cold: {cold_jobs} processes in {cold:.1f} s, each with the models it needs{at_once}",
        ),
    )
    print()
    for figure, meaning in rows:
        print(f"{figure:>10}  {meaning}")
    earned = max(1, ceil(boot / (alone - each)))
    after = "the first text" if earned == 1 else f"{earned} texts"
    print(f"\nWarm is {alone / each:,.0f} times as fast, and the boot is earned back by {after}.")


if __name__ == "__main__":
    sys.exit(main())
