"""Event names are an interface: each is a literal, in snake_case, and in the list with its meaning."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import supervisor
from supervisor.log_names import LOG_NAMES

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
LOGGERS = {"log", "logger", "_log", "_logger"}


def events_in(source: str) -> Iterator[tuple[int, str | None]]:
    """Line and name of every logging call; None where the name is not a literal."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS):
            continue
        logger = node.func.value
        if (logger.id if isinstance(logger, ast.Name) else getattr(logger, "attr", None)) in LOGGERS:
            name = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
            yield node.lineno, name if isinstance(name, str) else None


def events_of_the_package() -> dict[str, str | None]:
    """Every logging call as FILE:LINE, with its name."""
    root = Path(supervisor.__file__).parent
    return {
        f"{file.relative_to(root)}:{line}": name
        for file in sorted(root.rglob("*.py"))
        for line, name in events_in(file.read_text())
    }


def test_the_scan_sees_calls_of_any_logger_and_names_that_are_no_literals() -> None:
    source = (
        'log.info("a")\nself._log.error("b", x=1)\nlog.warning(name)\nlog.bind(x=1)\nmath.log.exp(1)\nlog.debug(f"{x}")'
    )
    assert list(events_in(source)) == [(1, "a"), (2, "b"), (3, None), (6, None)]


def test_every_event_is_in_the_list() -> None:
    assert {place: name for place, name in events_of_the_package().items() if name not in LOG_NAMES} == {}


def test_every_name_in_the_list_is_in_use() -> None:
    assert set(LOG_NAMES) - set(events_of_the_package().values()) == set()


def test_names_are_snake_case_words_with_a_meaning() -> None:
    for name, meaning in LOG_NAMES.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)
        assert meaning
