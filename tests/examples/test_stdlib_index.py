"""The demo: its sums, its judgement, and the whole of it against a real daemon."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.config.load import load
from tests.examples.conftest import Import
from tests.examples.places import DEMO

DEMO_SECS = 90  # to stop waiting for one that hangs


def run_demo(*options: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, str(DEMO / "demo.py"), "--workers", "2", *options]
    return subprocess.run(argv, capture_output=True, text=True, timeout=DEMO_SECS, check=False)


def job(state: str, **more: Any) -> dict[str, Any]:
    return {"id": "0199", "state": state, "result": None, "error": None, **more}


def facts(**more: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("lines", "bytes", "functions", "async_functions", "classes", "nesting"), 0)
    return {**nothing, "longest": None, "imports": [], "documented": 0, "documentable": 0, **more}


def test_the_demo_indexes_through_a_real_daemon_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = run_demo("--limit", "40", "--sample", "4", "--folder", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert re.search(r"^\s*(3\d|40)\s", done.stdout, re.MULTILINE), "the number of files is missing"
    for heading in ("Longest functions", "Most imported modules", "Largest files", "Speed"):
        assert heading in done.stdout
    assert re.search(r"warm workers are \d+\.\d times as fast", done.stdout)
    assert "\x1b" not in done.stdout, "colours or cursor movements in a pipe"
    assert not (tmp_path / "stoker.sock").exists(), "the daemon did not stop as it should"
    assert not processes_that_mention(str(tmp_path))


def test_an_interrupted_demo_takes_its_daemon_with_it(tmp_path: Path) -> None:
    argv = [sys.executable, str(DEMO / "demo.py"), "--folder", str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, start_new_session=True) as demo:
        wait_until(lambda: (tmp_path / "stoker.sock").exists() or demo.poll() is not None)
        demo.terminate()
        assert demo.wait(DEMO_SECS) == 130
    assert not processes_that_mention(str(tmp_path))


def wait_until(come: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEMO_SECS
    while not come():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def processes_that_mention(text: str) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if os.fsencode(text) in arguments:
            found.append(arguments.decode(errors="replace"))
    return found


def test_the_demo_shows_the_log_of_a_daemon_that_will_not_start(tmp_path: Path) -> None:
    too_long = tmp_path / ("x" * 120)
    done = run_demo("--limit", "2", "--folder", str(too_long))
    assert done.returncode == 1
    assert "the daemon exited at its start with code 2" in done.stderr
    assert "daemon.socket" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_this_process_cannot_parse_either_is_reported_as_no_python(
    demo_module: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo, indexing = demo_module("demo"), demo_module("indexing")
    monkeypatch.setattr(indexing, "LIBRARY", tmp_path)
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text("x = 1\n")
    bad.write_text("print 'x'\n")
    failed = job("failed", error={"cause": "error", "message": "not valid Python"})
    files, failures = demo.sort_out([good, bad], [job("done", result=facts()), failed])
    assert [file.name for file in files] == ["good.py"]
    assert failures == [("bad.py", "not valid Python")]


@pytest.mark.parametrize(
    ("source", "ending"),
    [
        ("x = 1\n", job("failed", error={"cause": "error", "message": "not valid Python"})),
        ("print 'x'\n", job("failed", error={"cause": "exited", "message": "exited with 1"})),
        ("x = 1\n", job("cancelled")),
    ],
)
def test_any_other_ending_of_a_job_makes_the_demo_fail(
    source: str, ending: dict[str, Any], demo_module: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo, indexing = demo_module("demo"), demo_module("indexing")
    monkeypatch.setattr(indexing, "LIBRARY", tmp_path)
    path = tmp_path / "file.py"
    path.write_text(source)
    with pytest.raises(demo.Unexpected, match=re.escape(str(path))):
        demo.sort_out([path], [ending])


def test_the_rankings_leave_the_test_suites_out_and_the_totals_do_not(demo_module: Import) -> None:
    summary = demo_module("summary")
    longest = {"name": "f", "line": 1, "lines": 7}
    code = summary.File("json/decoder.py", facts(lines=10, functions=2, longest=longest, imports=["re", "sys"]))
    test = summary.File("json/tests/test_it.py", facts(lines=90, functions=5, longest=longest, imports=["json"]))
    found = summary.summarize([code, test])
    assert (found.files, found.tests, found.lines, found.functions) == (2, 1, 100, 7)
    assert found.longest == [(longest, "json/decoder.py")]
    assert found.imported == [("re", 1), ("sys", 1)]
    assert found.largest == found.deepest == [code]


def test_coverage_is_that_of_whole_packages_best_first_and_of_none_too_small(demo_module: Import) -> None:
    summary = demo_module("summary")
    files = [
        summary.File("json/__init__.py", facts(documented=10, documentable=10)),
        summary.File("json/decoder.py", facts(documented=5, documentable=20)),
        summary.File("heapq.py", facts(documented=30, documentable=30)),
        summary.File("tiny.py", facts(documented=3, documentable=3)),
    ]
    coverage = [(entry.package, entry.documented, entry.documentable) for entry in summary.coverage(files)]
    assert coverage == [("heapq", 30, 30), ("json", 15, 30)]


@pytest.mark.parametrize("count", [1, 2, 5, 20, 100])
def test_a_sample_is_spread_over_all_sizes(count: int, demo_module: Import, tmp_path: Path) -> None:
    indexing = demo_module("indexing")
    paths = [tmp_path / f"{size}.py" for size in range(20)]
    for size, path in enumerate(paths):
        path.write_bytes(bytes(size))
    sample = indexing.spread(paths, count)
    assert len(sample) == len(set(sample)) == min(count, 20)
    assert sample[0] == paths[0]
    assert count == 1 or sample[-1] == paths[-1]


def test_the_library_is_big_and_holds_nothing_that_was_added_to_it(demo_module: Import) -> None:
    indexing = demo_module("indexing")
    names = [indexing.name_of(path) for path in indexing.library_files()]
    assert len(names) >= 600
    assert {"ast.py", "json/decoder.py"} <= set(names)
    assert not [name for name in names if "site-packages" in name or "dist-packages" in name]


def test_the_configuration_of_the_demo_is_one(tmp_path: Path) -> None:
    config = load(DEMO / "stoker.toml", environ={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}, is_root=False)
    assert [pool.name for pool in config.pools] == ["index"]
