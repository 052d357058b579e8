"""The moments in the life of a batch at which a daemon can be made to end itself."""

import os
import shutil
from collections.abc import Callable, Mapping
from typing import Any

from supervisor.batch.receiving import Receiving
from supervisor.batch.spool import Spool, Spools
from supervisor.batch.words import Status
from supervisor.lines.appending import AppendFile
from supervisor.lines.whole import write_all
from tests.crash.striking import Arm, Strike, after, around, before


def _half_first(strike: Strike, original: Callable[..., Any], file: AppendFile, data: bytes) -> None:
    """Dead in the middle of a write: the line at its end is torn."""
    if data:
        write_all(file._fd, data[: len(data) // 2], file.size)
        strike()
    original(file, data)


def _has_data(_: Any, data: bytes) -> bool:
    return bool(data)


def _is_status(_: Any, path: Any) -> bool:
    return os.fspath(path).endswith("status.json")


def _cancelling(_: Any, status: Status) -> bool:
    return status.cancel_requested and not status.state.final


def _final(_: Any, status: Status) -> bool:
    return status.state.final


def _cancelled(_: Any, status: Status) -> bool:
    return status.state.final and status.cancel_requested


def _is_on_its_way_out(path: Any, *_: Any, **__: Any) -> bool:
    return os.path.basename(path).startswith(".gone-")


# At the start.
BOOT_OF_BATCHES = ("batches read", "leftovers swept")

BATCH_MOMENTS: Mapping[str, Arm] = {
    "part received": after(Receiving, "append"),
    "all received": before(Receiving, "finish"),
    "batch on disk": after(Receiving, "finish"),
    "half an answer": around(AppendFile, "append", _half_first),
    "answers appended": after(AppendFile, "append", _has_data),
    "answers on disk": after(Spool, "answer"),
    "status beside": before(os, "replace", _is_status),
    "status on disk": after(Spool, "write"),
    "cancel on disk": after(Spool, "write", _cancelling),
    "cancelled": after(Spool, "write", _cancelled),
    "final": after(Spool, "write", _final),
    "batch half deleted": before(shutil, "rmtree", _is_on_its_way_out),
    "batch deleted": after(Spools, "remove"),
    "batches read": after(Spools, "all"),
    "leftovers swept": after(Spools, "sweep"),
}

# Under load these come some ten times a second, or less.
RARE_OF_BATCHES = ("all received", "batch on disk", "cancel on disk", "cancelled", "final")
RARE_OF_BATCHES += ("batch half deleted", "batch deleted")
