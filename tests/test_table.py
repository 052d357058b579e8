"""The table says what there is: every row of the protocol's table, every limit, and a test for each."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.config.model import PoolConfig, QueueConfig
from tests.protocol.examples import README
from tests.table import POOL_LIMITS, QUEUE_LIMITS, ROWS, WRONG, claims
from tests.workers import HERE

# What the keys of a pool that limit nothing are for: where it is, what it runs and for whom.
NO_LIMITS = {"name", "command", "queues", "cwd", "env"}


def cells() -> Iterator[str]:
    """The first of each line of the table of what goes wrong."""
    part = README.read_text().split("\n## What goes wrong")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("|")]
    return (row[0].strip() for row in rows[2:])


def test_every_line_of_the_protocols_table_has_a_row() -> None:
    known = [text for text in WRONG.values() if text is not None]
    without = [cell for cell in cells() if not any(text in cell for text in known)]
    assert without == []


@pytest.mark.parametrize("text", [text for text in WRONG.values() if text is not None])
def test_every_row_that_names_one_has_its_line_in_the_protocols_table(text: str) -> None:
    assert [cell for cell in cells() if text in cell]


def test_every_limit_of_a_pool_and_of_a_queue_has_a_row() -> None:
    assert {*PoolConfig.__struct_fields__} - NO_LIMITS == {*POOL_LIMITS}
    assert {*QueueConfig.__struct_fields__} - {"name", "events", "retention", "access"} == {*QUEUE_LIMITS}


def test_no_row_is_there_twice() -> None:
    assert len(ROWS) == len(set(ROWS))


# What no program provokes: there is none, or it is refused before any worker hears of it, or it wants root, and a
# program that the other user may read, which one below a home directory need not be.
WITHOUT_PROGRAM = {"not found", "max_payload", "max_pending", "user", "group"}


def test_every_row_has_a_test() -> None:
    assert {*ROWS} - {claim.row for claim in claims()} == set()


def test_every_row_that_can_have_one_has_a_program() -> None:
    assert {*ROWS} - {claim.row for claim in claims() if claim.program is not None} == WITHOUT_PROGRAM


def test_every_test_in_the_table_names_a_row_and_a_program_that_exist() -> None:
    made = claims()
    assert {claim.row for claim in made} <= {*ROWS}
    programs = {claim.program for claim in made if claim.program is not None}
    assert [name for name in programs if not (HERE / name).is_file()] == []


def test_every_program_is_in_the_table_or_provokes_nothing() -> None:
    """One that nobody runs is no test of anything."""
    used = {Path(claim.program).stem for claim in claims() if claim.program is not None}
    others = re.compile(r'"""(No row at all|Every row at once)')
    programs = [path for path in HERE.glob("*.py") if not path.name.startswith(("_", "test_"))]
    idle = {path.name for path in programs if path.stem not in used and not others.match(path.read_text())}
    assert idle == set()
