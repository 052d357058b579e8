"""What the tests of the examples share. The demos are folders of scripts, not packages: their modules are imported by
their own short names, for as long as the tests need them."""

import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from tests.examples.languages import Workshop
from tests.examples.places import DEMO

Import = Callable[[str], ModuleType]


@pytest.fixture
def demo_module(monkeypatch: pytest.MonkeyPatch) -> Iterator[Import]:
    """Gives a module of examples/stdlib-index by its name."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(DEMO)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(DEMO)):
            del sys.modules[name]


@pytest.fixture(scope="session")
def workshop(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    cache = pytestconfig.cache
    return Workshop(cache.mkdir("workers") if cache else tmp_path_factory.mktemp("workers"))
