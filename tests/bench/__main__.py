import argparse
import tempfile
from pathlib import Path

from tests.bench.report import Json, Machine, Table
from tests.bench.setting import FULL, QUICK, Setting, default_folder
from tests.bench.suite import PARTS, run


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measure stoker's speed: real daemons with 4 echo workers, beside the references of the same run. "
        "Figures are medians; the range of the rounds stands behind. What other programs do meanwhile shows.",
    )
    parser.add_argument("--only", action="append", choices=list(PARTS), metavar="NAME", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="smaller and rougher, in well under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    parser.add_argument("--dir", type=Path, default=default_folder(), help="where to put files; on a real disk")
    given = parser.parse_args()
    report = Json() if given.json else Table()
    with tempfile.TemporaryDirectory(prefix="stoker-bench-", dir=given.dir) as folder:
        setting = Setting(Path(folder), QUICK if given.quick else FULL)
        report.begin(Machine.look(setting))
        run(given.only or list(PARTS), setting, report)


if __name__ == "__main__":
    main()
