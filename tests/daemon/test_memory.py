"""Payloads come and go: their memory goes with them."""

import subprocess
import sys

PROGRAM = """
import os, sys
from supervisor.daemon import memory
from supervisor.pool import procfs

if "--give-back" in sys.argv:
    memory.give_back()
before = procfs.rss(os.getpid())
kept = []
for _ in range(2):
    payloads = []
    for _ in range(100):
        payloads.append(b"x" * 1_000_000)
        kept.append(b"x" * 10_000)  # what stays is allocated in between
    payloads.clear()
print(procfs.rss(os.getpid()) - before)
"""


def grown(*arguments: str) -> int:
    """By how many bytes a process has grown after 200 MB in payloads, of which none is left."""
    run = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, check=True)
    return int(run.stdout)


def test_a_process_shrinks_again_when_its_payloads_are_gone() -> None:
    assert grown("--give-back") < 20_000_000


def test_left_to_the_c_library_it_would_not() -> None:
    """Should this fail one day, supervisor/daemon/memory.py can go."""
    assert grown() > 50_000_000
