import logging
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Whatever a test configures; the process runs others after it."""
    yield
    structlog.reset_defaults()
    logging.getLogger("trio.serve_listeners").handlers.clear()
    logging.getLogger("trio.serve_listeners").propagate = True
