"""The example whose worker loads a model: the worker by itself, in its pool, and the demo."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from protocol.client import Client
from supervisor.config.load import load
from tests.examples.conformance import conforms
from tests.examples.conftest import Import
from tests.examples.conversation import Conversation, result
from tests.examples.places import DETECTION

JOB = "0199f3c2-5b7e-7c31-9a04-6e0d5c8b1f00"
WORKER = [sys.executable, str(DETECTION / "worker.py")]
TWO = {"LANGUAGES": "el ko"}  # two scripts, two small models: it boots at once
GREEK = ("Όλοι οι άνθρωποι γεννιούνται ελεύθεροι", {"language": "Greek", "code": "el", "confidence": 1.0})  # noqa: RUF001
KOREAN = ("모든 인간은 태어날 때부터 자유로우며", {"language": "Korean", "code": "ko", "confidence": 1.0})
NONE = {"language": None, "code": None, "confidence": 0}
DEMO_SECS = 240  # to stop waiting for one that hangs

needs_lingua = pytest.mark.skipif(
    importlib.util.find_spec("lingua") is None,
    reason=f"lingua is not installed: pip install -r {DETECTION / 'requirements.txt'}",
)


@needs_lingua
def test_it_says_that_it_is_ready_and_then_tells_languages() -> None:
    with Conversation(WORKER, env=TWO) as worker:
        assert worker.receive().status == "ready"
        for text, expected in (GREEK, KOREAN, ("", NONE), ("1 + 1 = 2 🔥", NONE)):
            assert result(worker.ask(JOB, {"text": text})) == expected
        for payload in (None, 7, [], {}, {"text": None}, {"text": [GREEK[0]]}, GREEK[0]):
            reply = worker.ask(JOB, payload)
            assert (reply.status, reply.retry, reply.message) == ("error", False, 'the payload must be {"text": "…"}')
        assert worker.finish() == 0


@needs_lingua
def test_run_for_one_text_it_says_nothing_but_its_answer() -> None:
    with Conversation([*WORKER, "--lazily"]) as worker:
        assert result(worker.ask(JOB, {"text": GREEK[0]})) == GREEK[1]
        assert worker.finish() == 0


@needs_lingua
def test_a_language_that_does_not_exist_ends_its_boot() -> None:
    done = subprocess.run(
        WORKER, env={**os.environ, "LANGUAGES": "el xx"}, stdin=subprocess.DEVNULL, capture_output=True
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"ValueError" in done.stderr


@needs_lingua
@pytest.mark.long
def test_it_passes_check_worker() -> None:
    conforms(WORKER, cwd=DETECTION, env=TWO, payloads=[{"text": GREEK[0]}], options=["--ready"])


@needs_lingua
def test_its_pool_gives_it_no_job_before_it_is_ready(detection_module: Import, tmp_path: Path) -> None:
    detecting, local_daemon = detection_module("detecting"), detection_module("local_daemon")
    config: dict[str, Any] = detecting.configuration(1)
    config["pools"]["language"] |= {"env": TWO}
    with local_daemon.LocalDaemon(tmp_path, config) as daemon, Client(daemon.socket) as client:
        job = client.submit("language", {"text": GREEK[0]})
        assert client.wait(job["id"], timeout_secs=60)["result"] == GREEK[1]
        (pool,) = client.pools("language")
        assert (pool["state"], pool["spawned"], pool["crashes"]) == ("ready", 1, 0)


@needs_lingua
def test_the_demo_says_why_the_pool_does_not_boot(tmp_path: Path) -> None:
    done = run_demo("--folder", str(tmp_path), env={"LANGUAGES": "xx"})
    assert done.returncode == 1
    assert done.stderr.startswith("demo: the pool does not boot: ")
    assert "ValueError" in done.stderr
    assert "Traceback" not in done.stderr.partition("ValueError")[2]


@needs_lingua
@pytest.mark.long
def test_the_demo_with_all_its_models_tells_the_languages_and_what_each_way_costs(tmp_path: Path) -> None:
    done = run_demo("--cold", "2", "--folder", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    told = re.match(r"64 texts in 32 languages, (\d+) of them told right\n", done.stdout)
    assert told, done.stdout
    assert int(told[1]) >= 60
    times_as_fast = re.search(r"^Warm is ([\d,]+) times as fast", done.stdout, re.MULTILINE)
    assert times_as_fast, done.stdout
    assert int(times_as_fast[1].replace(",", "")) > 10
    assert not (tmp_path / "stoker.sock").exists(), "the daemon did not stop as it should"


def test_without_its_model_the_demo_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['lingua'] = None\n")
    done = run_demo(env={"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("demo: lingua is not installed; run ")
    assert done.stderr.endswith("requirements.txt\n")


def test_its_configuration_is_one(tmp_path: Path) -> None:
    config = load(DETECTION / "stoker.toml", environ={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}, is_root=False)
    assert [(pool.name, pool.ready) for pool in config.pools] == [("language", True)]


def test_a_sample_is_spread_over_all_texts(detection_module: Import) -> None:
    detecting = detection_module("detecting")
    every = detecting.texts()
    assert len(every) == len(set(every)) == 64
    for count in (1, 2, 7, 64, 100):
        sample = detecting.spread(every, count)
        assert sample == sorted(set(sample), key=every.index)
        assert len(sample) == min(count, 64)


def run_demo(*options: str, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, str(DETECTION / "demo.py"), *options]
    return subprocess.run(
        argv, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=DEMO_SECS, check=False
    )
