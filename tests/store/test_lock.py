"""The lock that keeps two daemons apart, and the ways in which its holder can be gone."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from supervisor.errors import StartError
from supervisor.store.sqlite import lock
from supervisor.store.sqlite.lock import FileLock

# As a daemon that is killed between the fork and the exec of a worker: the child has the lock for so many seconds.
LEAVES_IT_TO_A_CHILD = """
import os, sys, time
from pathlib import Path
from supervisor.store.sqlite.lock import FileLock

held = FileLock(Path(sys.argv[1]))
print("held", flush=True)
if os.fork():
    os._exit(0)
os.close(1)
time.sleep(float(sys.argv[2]))
"""


def left_to_a_child(database: Path, seconds: float) -> None:
    """Returns when the holder is gone."""
    argv = [sys.executable, "-c", LEAVES_IT_TO_A_CHILD, str(database), str(seconds)]
    subprocess.run(argv, check=True, stdout=subprocess.PIPE)


def test_the_lock_of_a_dead_daemons_child_is_waited_for(tmp_path: Path) -> None:
    left_to_a_child(tmp_path / "db", lock.LINGERS / 4)
    FileLock(tmp_path / "db").release()


def test_it_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "LINGERS", 0.05)
    left_to_a_child(tmp_path / "db", 2.0)
    with pytest.raises(StartError, match="in use by another stoker"):
        FileLock(tmp_path / "db")


def test_a_holder_that_lives_is_named_at_once(tmp_path: Path) -> None:
    held = FileLock(tmp_path / "db")
    began = time.monotonic()
    with pytest.raises(StartError, match=f"pid {os.getpid()} on"):
        FileLock(tmp_path / "db")
    assert time.monotonic() - began < lock.LINGERS / 2
    held.release()
    FileLock(tmp_path / "db").release()
