"""Where a thread is."""

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

_STATES = {"R": "busy", "S": "asleep", "D": "waiting for a disk", "T": "stopped"}


def locate(thread: threading.Thread) -> str:
    """The innermost functions it is in, and what the kernel says of it: "waiting for a disk, in store.py:212 commit <
    writer.py:101 _write"."""
    frame = sys._current_frames().get(thread.ident or 0)
    places: list[str] = []
    while frame is not None and len(places) < 3:
        code = frame.f_code
        places.append(f"{os.path.basename(code.co_filename)}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return f"{_state(thread.native_id)}, in {' < '.join(places) or 'no function'}"


def _state(native_id: int | None) -> str:
    with suppress(OSError, IndexError):
        letter = Path(f"/proc/self/task/{native_id}/stat").read_text().rpartition(")")[2].split()[0]
        return _STATES.get(letter, letter)
    return "gone"
