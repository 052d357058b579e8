"""Chaos runs whose daemons are ended with the test, however it went."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.pools import PARTS
from tests.chaos.report import text
from tests.chaos.run import Chaos, Plan, Result

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """`run(without=parts, **as Plan)`: what happened is printed, where pytest shows it beside a failure."""
    made: list[Chaos] = []

    def run(*, without: Collection[str] = (), **plan: Any) -> Result:
        parts = tuple(part for part in PARTS if part not in without)
        chaos = Chaos(Plan(parts=parts, **plan), tmp_path)
        made.append(chaos)
        result = chaos.run()
        print(text(result))
        return result

    yield run
    for chaos in made:
        chaos.close()
