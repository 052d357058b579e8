"""Chaos runs whose daemons are ended with the test, however it went."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.pools import LANDED
from tests.chaos.report import text
from tests.chaos.run import Chaos, Plan, Result

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """`run(**as Plan)`: what happened is printed, where pytest shows it beside a failure."""
    made: list[Chaos] = []

    def run(**plan: Any) -> Result:
        chaos = Chaos(Plan(**{"parts": LANDED, **plan}), tmp_path)
        made.append(chaos)
        result = chaos.run()
        print(text(result))
        return result

    yield run
    for chaos in made:
        chaos.close()
