"""`make chaos`: ten minutes or 200,000 jobs; `python -m tests.chaos --help` for less."""

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

from tests.chaos import cgroup
from tests.chaos.pools import PARTS
from tests.chaos.report import numbers, text
from tests.chaos.run import Chaos, Plan


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of the scripts; any")
    parser.add_argument("--seconds", type=float, default=600.0, help="of chaos")
    parser.add_argument("--jobs", type=int, default=200_000)
    parser.add_argument("--slice", type=float, default=20.0, help="seconds of chaos between measurements beside it")
    parser.add_argument("--calm", type=float, default=10.0, help="seconds of each of those; 0 for none")
    parser.add_argument("--rate", type=float, default=330.0, help="jobs a second")
    parser.add_argument("--without", default="", help=f"some of {','.join(PARTS)}")
    parser.add_argument("--record", type=Path, help="a file for the numbers, JSON")
    given = parser.parse_args()
    left_out = {part for part in given.without.split(",") if part}
    if left_out - {*PARTS}:
        parser.error(f"--without takes some of {','.join(PARTS)}")
    if "cgroup" not in left_out and not cgroup.can_be_made():
        print("no cgroup v2 can be made here (it wants root): without it")
        left_out.add("cgroup")
    plan = Plan(
        seed=given.seed,
        seconds=given.seconds,
        jobs=given.jobs,
        slice=given.slice,
        calm=given.calm,
        rate=given.rate,
        parts=tuple(part for part in PARTS if part not in left_out),
    )
    print(f"seed {plan.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="stoker-chaos-") as folder:
        chaos = Chaos(plan, Path(folder), lambda words: print(words, flush=True))
        try:
            result = chaos.run()
        finally:
            chaos.close()
    print(text(result))
    if given.record:
        given.record.write_text(json.dumps(numbers(result), indent=1))
    return 1 if result.tally.troubles or result.left else 0


if __name__ == "__main__":
    sys.exit(main())
