"""The example workers in their pools: each passes `stoker check-worker`, and a daemon runs all of them side by side."""

import os
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from protocol.client import Client
from supervisor.config.load import load
from tests.examples.conformance import conforms
from tests.examples.conftest import Import
from tests.examples.languages import LANGUAGES, Language, Workshop
from tests.examples.places import EXAMPLES, TOP, WORKERS

CHECKS_AT_ONCE = 4  # a check waits more than it computes
EVERY = [pytest.param(language, id=language.name) for language in LANGUAGES]

FACTOR = ({"kind": "factor", "n": 600851475143}, {"factors": [71, 839, 1471, 6857]})
WORDS = ({"kind": "words", "text": "to be or not 🔥"}, {"characters": 14, "words": 5, "longest": "not"})


def jobs(language: Language) -> list[tuple[Any, Any]]:
    source = WORKERS / "Makefile"
    size = source.read_bytes()
    count = ({"kind": "count", "path": str(source)}, {"lines": size.count(b"\n"), "bytes": len(size)})
    return [WORDS, FACTOR, count] if "factor" in language.kinds else [count]


Check = Callable[[Language], "Future[None]"]


@pytest.fixture(scope="module")
def check(workshop: Workshop) -> Iterator[Check]:
    """The check of a language. With the first that is asked for, those of all that are installed begin."""
    checks: dict[str, Future[None]] = {}

    def begin(language: Language) -> "Future[None]":
        quick = [payload for payload, _ in jobs(language)][:2]  # they are done by the thousand
        options = {"payloads": quick, "env": language.env()}
        return threads.submit(conforms, language.command(), cwd=workshop.folder(language), **options)

    def of(language: Language) -> "Future[None]":
        if not checks:
            checks.update((other.name, begin(other)) for other in LANGUAGES if other.missing() is None)
        return checks[language.name]

    with ThreadPoolExecutor(CHECKS_AT_ONCE) as threads:
        yield of
        threads.shutdown(cancel_futures=True)


@pytest.mark.parametrize("language", EVERY)
@pytest.mark.long  # a check of every language: the tester's own tests have four of them
def test_it_passes_check_worker(language: Language, workshop: Workshop, check: Check) -> None:
    workshop.folder(language)
    check(language).result()


@pytest.mark.parametrize("language", EVERY)
def test_its_pool_is_configured_as_it_is_and_named_like_its_folder(
    language: Language, workshop: Workshop, tmp_path: Path
) -> None:
    folder = workshop.folder(language)
    config = load(folder / "stoker.toml", environ={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}, is_root=False)
    assert [(pool.name, pool.queues, pool.cwd) for pool in config.pools] == [(language.name, (language.name,), folder)]


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("**/stoker.toml")), ids=lambda file: file.parent.name)
def test_a_daemon_started_by_hand_keeps_to_the_folder_of_its_example_even_as_root(file: Path, tmp_path: Path) -> None:
    table = tomllib.loads(file.read_text())["daemon"]
    (tmp_path / file.name).write_text(tomli_w.dumps({"daemon": table, "pools": {"any": {"command": ["sh"]}}}))
    daemon = load(tmp_path / file.name, environ=os.environ, is_root=True).daemon
    assert (daemon.socket, daemon.state_dir) == (tmp_path / "stoker.sock", tmp_path / "state")


def test_every_folder_of_a_worker_is_tested() -> None:
    assert {path.parent.name for path in WORKERS.glob("*/stoker.toml")} == {language.name for language in LANGUAGES}


def test_ci_installs_what_they_need() -> None:
    installed = (TOP / ".ci/run").read_text().replace("\\\n", " ").split()
    assert {package for language in LANGUAGES for package in language.needs.split()} <= set(installed)


def test_one_daemon_runs_all_of_them_side_by_side(workshop: Workshop, demo_module: Import, tmp_path: Path) -> None:
    installed = [language for language in LANGUAGES if language.missing() is None]
    pools = {
        language.name: {**language.pool(), "size": 1, "cwd": str(workshop.folder(language))} for language in installed
    }
    wanted = [(language.name, *job) for language in installed for job in jobs(language)]
    daemon = demo_module("local_daemon").LocalDaemon
    with daemon(tmp_path, {"pools": pools}) as running, Client(running.socket) as client:
        submitted = client.submit_many([{"queue": name, "payload": payload} for name, payload, _ in wanted])
        done = client.wait_all([job["id"] for job in submitted], timeout_secs=60)
    got = [(job["queue"], job["payload"], job["result"]) for job in done]
    assert got == wanted
    assert {job["attempt"] for job in done} == {1}
