"""What the tests of the examples share. The demos are folders of scripts, not packages: their modules are imported by
their own short names, for as long as the tests need them."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.examples.languages import Workshop
from tests.examples.places import DEMO, DETECTION

Import = Callable[[str], ModuleType]


@pytest.fixture
def demo_module(monkeypatch: pytest.MonkeyPatch) -> Iterator[Import]:
    """Gives a module of examples/stdlib-index by its name."""
    yield from modules_of(DEMO, monkeypatch)


@pytest.fixture
def detection_module(monkeypatch: pytest.MonkeyPatch) -> Iterator[Import]:
    """Gives a module of examples/language-detection by its name."""
    yield from modules_of(DETECTION, monkeypatch)


def modules_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Import]:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(folder)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture(scope="session")
def workshop(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    cache = pytestconfig.cache
    return Workshop(cache.mkdir("workers") if cache else tmp_path_factory.mktemp("workers"))
