"""How far a job is, in a bar and in words."""

from math import isfinite
from typing import Any

from supervisor.cli.top.columns import plain

BAR = 10  # characters
_LARGE = 10**9


def share(progress: dict[str, Any] | None) -> float | None:
    """From 0 to 1, where the worker has said something of the kind: `progress` itself, else `done` of `total`."""
    if progress is None:
        return None
    told = progress.get("progress")
    if told is None and progress.get("done") is not None and progress.get("total"):
        told = progress["done"] / progress["total"]
    return float(told) if told is not None and isfinite(told) and 0 <= told <= 1 else None


def bar(progress: dict[str, Any] | None) -> str:
    found = share(progress)
    return "" if found is None else ("#" * int(found * BAR)).ljust(BAR, ".")


def words(progress: dict[str, Any] | None) -> str:
    """`40% 512/1024 page 4 of 10`: as much of it as the worker has said. A number that is no share stays as it is."""
    if progress is None:
        return ""
    found, told = share(progress), progress.get("progress")
    parts = [f"{int(found * 100)}%" if found is not None else _number(told) if told is not None else ""]
    if progress.get("done") is not None:
        total = progress.get("total")
        parts.append(_number(progress["done"]) + (f"/{_number(total)}" if total is not None else ""))
    parts.append(plain(str(progress.get("message") or "")))
    return " ".join(filter(None, parts))


def _number(value: float) -> str:
    return str(int(value)) if isfinite(value) and value == int(value) and abs(value) < _LARGE else f"{value:.3g}"
