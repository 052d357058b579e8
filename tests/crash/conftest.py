"""Houses whose daemons are ended with the test, however it went."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.house import House

Build = Callable[..., House]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """`build(pools, name="house", **as House)`"""
    houses: list[House] = []

    def build(pools: dict[str, dict[str, Any]], name: str = "house", **settings: Any) -> House:
        folder = tmp_path / name
        folder.mkdir()
        house = House(folder, pools, **settings)
        houses.append(house)
        return house

    yield build
    for house in houses:
        house.close()
