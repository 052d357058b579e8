"""What tests of the daemon's talk with systemd share: workers that last, and looks at the service."""

import os
import re
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from protocol.client import Client
from tests.systemd.service import Service

T = TypeVar("T")

ECHO = 'while read job; do echo "{\\"status\\":\\"ok\\"}"; done'
DEAF = 'trap "" TERM; while read job; do while :; do sleep 300; done; done'
# Each line of its file is a job that has begun. The first one lasts until its worker is killed, and has a child that
# has left its session.
ONCE_SLOW = """
while read job; do
  echo begun >>/var/lib/stoker/begun
  if [ "$(wc -l </var/lib/stoker/begun)" = 1 ]; then
    setsid -f sleep 300 </dev/null >/dev/null 2>&1
    while :; do sleep 300; done
  fi
  echo '{"status":"ok"}'
done
"""


def pool(script: str, **settings: Any) -> dict[str, Any]:
    return {"command": ["sh", "-c", script], "kill_grace": "0.5s", **settings}


def set_drain(stoker: Service, timeout: str) -> None:
    """For the next start."""
    file = stoker.box.root / "etc/stoker/stoker.toml"
    changed = re.sub('drain_timeout = ".*"', f'drain_timeout = "{timeout}"', file.read_text())
    stoker.box.write("/etc/stoker/stoker.toml", changed)


def ask(stoker: Service, call: Callable[[Client], T]) -> T:
    with stoker.client() as client:
        return call(client)


def state_of(stoker: Service, job: str) -> dict[str, Any]:
    return dict(ask(stoker, lambda client: client.get(job)))


def status(stoker: Service) -> str:
    return stoker.property("StatusText")


def begin(stoker: Service, what: str) -> str:
    """A verb of systemctl that is not waited for."""
    return stoker.box.run("systemctl", "--no-block", what, "stoker.service")


def begun(stoker: Service) -> int:
    file = stoker.box.root / "var/lib/stoker/begun"
    return len(file.read_text().splitlines()) if file.exists() else 0


def everybody(stoker: Service) -> list[int]:
    """All processes of the service, as this machine numbers them."""
    return [pid for pids in stoker.tree().values() for pid in pids]


@contextmanager
def watched(pids: list[int]) -> Iterator[Callable[[], int]]:
    """Tells how many of these processes live."""
    holds = [os.pidfd_open(pid) for pid in pids]
    poll = select.poll()
    for hold in holds:
        poll.register(hold, select.POLLIN)
    try:
        yield lambda: len(holds) - len(poll.poll(0))
    finally:
        for hold in holds:
            os.close(hold)
