"""The example with scikit-learn's handwritten digits: its README's commands, each prediction beside the model's own."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.client import Client
from supervisor.config.load import load
from tests.examples.conformance import conforms
from tests.examples.conversation import Conversation, result
from tests.examples.places import DIGITS
from tests.examples.readme import RUN_SECS, commands, copied, run

JOB = "0199f3c2-5b7e-7c31-9a04-6e0d5c8b1f00"
README = DIGITS / "README.md"
SCORED = "899 digits, 871 of them told right: 96.9%\n899 as the model says when it is asked directly\n"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None,
    reason=f"scikit-learn is not installed: pip install -r {DIGITS / 'requirements.txt'}",
)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the folder, with the model trained and the pictures written."""
    folder = copied(DIGITS, tmp_path_factory.mktemp("digits"))
    done = run("python3 prepare.py", folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.fixture(scope="module")
def direct(example: Path) -> list[dict[str, int]]:
    """What the model says of all pictures when it is called here, without stoker and without the worker."""
    import joblib

    pictures = [json.loads(line)["pixels"] for line in (example / "digits.jsonl").read_text().splitlines()]
    return [{"digit": digit} for digit in joblib.load(example / "model.joblib").predict(pictures).tolist()]


@pytest.fixture
def daemon(example: Path) -> Iterator[Client]:
    """`stoker serve`, as the README has it."""
    argv = [sys.executable, "-m", "supervisor", "serve", "-c", "stoker.toml"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (example / "log").open("wb") as log:
        serving = subprocess.Popen(argv, cwd=example, env={**os.environ, "PATH": path}, stdout=log, stderr=log)
    try:
        with Client(str(example / "stoker.sock"), patience=RUN_SECS) as client:
            yield client
    finally:
        serving.terminate()
        assert serving.wait(RUN_SECS) == 0, (example / "log").read_text()


def records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.long
def test_through_map_every_prediction_is_the_models_own(example: Path, direct: list[dict[str, int]]) -> None:
    done = run(commands(README, "By a command"), example)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == SCORED
    assert records(example / "predictions.jsonl") == direct


@pytest.mark.long
def test_through_a_batch_every_prediction_is_the_models_own(
    example: Path, direct: list[dict[str, int]], daemon: Client
) -> None:
    done = run(commands(README, "By a daemon"), example)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(SCORED)
    answers = {record["custom_id"]: record["result"] for record in records(example / "records.jsonl")}
    assert [answers[number] for number in range(898, 1797)] == direct


@pytest.mark.long
def test_a_prediction_that_is_not_the_models_own_is_told(example: Path, direct: list[dict[str, int]]) -> None:
    (example / "wrong.jsonl").write_text("".join(json.dumps({"digit": 9 - one["digit"]}) + "\n" for one in direct))
    done = run("python3 score.py wrong.jsonl", example)
    assert (done.returncode, done.stdout.splitlines()[1]) == (1, "0 as the model says when it is asked directly")
    (example / "wrong.jsonl").write_text('{"line":1,"error":{"cause":"error"}}\n')
    done = run("python3 score.py wrong.jsonl", example)
    assert (done.returncode, done.stdout) == (1, "")
    assert "has errors in it" in done.stderr


@pytest.mark.long
def test_the_worker_says_that_it_is_ready_and_what_is_no_picture(example: Path, direct: list[dict[str, int]]) -> None:
    picture = records(example / "digits.jsonl")[0]
    with Conversation([sys.executable, str(example / "worker.py")]) as worker:
        assert worker.receive().status == "ready"
        for payload in (None, 7, [], {}, {"pixels": None}, {"pixels": [0] * 63}, {"pixels": [0] * 63 + [17]}):
            reply = worker.ask(JOB, payload)
            assert (reply.status, reply.retry) == ("error", False)
            assert "64 numbers from 0 to 16" in reply.message
        assert result(worker.ask(JOB, picture)) == direct[0]
        assert worker.finish() == 0


def test_without_a_model_it_says_what_to_run(tmp_path: Path) -> None:
    done = run("python3 worker.py", copied(DIGITS, tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("run prepare.py first\n")


@pytest.mark.long
def test_it_passes_check_worker(example: Path) -> None:
    picture = records(example / "digits.jsonl")[0]
    conforms([sys.executable, "worker.py"], cwd=example, payloads=[picture], options=["--ready"])


def test_its_configuration_is_one(tmp_path: Path) -> None:
    config = load(DIGITS / "stoker.toml", environ={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}, is_root=False)
    assert [(pool.name, pool.ready) for pool in config.pools] == [("digits", True)]
