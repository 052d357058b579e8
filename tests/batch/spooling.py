"""Batches to put into spools, and what is done with them."""

import json
from pathlib import Path
from typing import Any

from supervisor.batch.ids import new_id
from supervisor.batch.receiving import Limits
from supervisor.batch.spool import Spool, Spools
from supervisor.batch.words import BatchState, Counts, Status
from supervisor.lines.records import refusal_record, result_record

NOW = 1_700_000_000_000_001
ROOMY = Limits(max_lines=1000, max_bytes=1 << 20, max_pending_lines=10_000)


def new_status(**members: Any) -> Status:
    given = {"id": new_id(), "queue": "q", "state": BatchState.PENDING, "counts": Counts()} | members
    return Status(created_at=NOW, updated_at=NOW, **given)


def received(spools: Spools, text: bytes, status: Status | None = None) -> Spool:
    """A batch of these lines, open."""
    receiving = spools.create(status or new_status(), ROOMY)
    receiving.append(text)
    receiving.finish()
    return spools.open(receiving.status.id)


def passed(number: int) -> bytes:
    return result_record(number, None, b"%d" % number)


def refused(number: int, cause: str = "not_json") -> bytes:
    return refusal_record(number, b'"c"', cause, "no")


def shown(path: Path) -> Any:
    return json.loads(path.read_bytes())
