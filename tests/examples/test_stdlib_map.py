"""The index of the standard library by `stoker map`, as the README of the demo has it."""

import ast
import json
import shutil
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.examples.places import DEMO
from tests.examples.readme import commands, copied, run

SECTION = "In one line"


@pytest.mark.long
@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed: apt-get install jq")
def test_the_index_in_one_line_is_what_the_files_hold(tmp_path: Path) -> None:
    folder = copied(DEMO, tmp_path)
    done = run(commands(DEMO / "README.md", SECTION), folder)
    paths = (folder / "files.txt").read_text().splitlines()
    lines = (folder / "index.jsonl").read_text().splitlines()
    with ProcessPoolExecutor(2) as pool:
        direct = list(pool.map(partial(facts, folder), paths, chunksize=50))
    library = Path(min((path for path in paths if path.endswith("/ast.py")), key=len)).parent
    everything = {str(path) for path in library.rglob("*.py") if "-packages/" not in str(path)}
    assert (len(lines), set(paths)) == (len(paths), everything)  # Debian's has no tests: 668 files, others over 1,700
    for number, (path, line, expected) in enumerate(zip(paths, lines, direct, strict=True), 1):
        found = json.loads(line)
        if expected is None:
            assert (found["line"], found["error"]["cause"]) == (number, "error"), path
        else:
            assert found == expected, path
    assert int(done.stdout) == sum(one["functions"] for one in direct if one), done.stderr


def facts(folder: Path, path: str) -> dict[str, Any] | None:
    """Without stoker and without a worker: called in this process. None: it is no Python."""
    sys.path.insert(0, str(folder))
    import index_worker

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(Path(path).read_bytes())
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
        found: dict[str, Any] = index_worker.facts(path)
    return found


def test_a_name_that_is_no_file_does_not_end_the_run(tmp_path: Path) -> None:
    folder = copied(DEMO, tmp_path)
    (folder / "known.py").write_text("import os\n\ndef one(): ...\n")
    (folder / "files.txt").write_text("known.py\nno such file.py\n\nknown.py\n")
    (mapping,) = [line for line in commands(DEMO / "README.md", SECTION).splitlines() if line.startswith("stoker")]
    done = run(mapping, folder)
    first, second, third = map(json.loads, (folder / "index.jsonl").read_text().splitlines())
    assert first == third == json.loads(json.dumps(facts(folder, str(folder / "known.py"))))
    assert second["line"] == 2
    assert "No such file" in second["error"]["message"]
    assert done.returncode == 1
