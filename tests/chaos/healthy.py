"""The client of the healthy pool, in a process of its own: `python -m tests.chaos.healthy SOCKET RATE FILE`.

So many jobs a second, whatever became of those before. FILE gets a line for each that has ended: when it was submitted
(seconds of CLOCK_MONOTONIC), and how many seconds later its result was here. It ends with its stdin, when all have.
"""

import select
import sys
import time
from typing import IO

from protocol.client import Client, ClientTimeout

CATCH_UP = 1.0  # seconds of jobs that are made up for after a stall


class Prober:
    def __init__(self, client: Client, rate: float, out: IO[str]) -> None:
        self._client = client
        self._every = 1 / rate
        self._out = out
        self._submits: dict[int, tuple[float, int]] = {}
        self._waits: dict[int, tuple[float, int]] = {}
        self._count = 0

    def run(self) -> None:
        due = time.monotonic()
        while not select.select([0], [], [], 0)[0]:
            now = time.monotonic()
            if now >= due:
                self._submit(now)
                due = max(due + self._every, now - CATCH_UP)
            self._hear(due - time.monotonic())
        while self._submits or self._waits:
            self._hear(60.0)

    def _submit(self, now: float) -> None:
        self._count += 1
        number = self._client.send("submit", {"queue": "healthy", "payload": self._count})
        self._submits[number] = (now, self._count)

    def _hear(self, secs: float) -> None:
        if not (self._submits or self._waits):
            time.sleep(max(0.0, secs))
            return
        try:
            number, answer = self._client.receive(max(0.0, secs))
        except ClientTimeout:
            return
        if number in self._submits:
            self._waits[self._client.send("wait", {"id": answer["id"]})] = self._submits.pop(number)
            return
        began, payload = self._waits.pop(number)
        took = time.monotonic() - began
        assert (answer["state"], answer["result"], answer["attempt"]) == ("done", payload, 1), answer
        self._out.write(f"{began} {took}\n")


def main(path: str, rate: float, out: str) -> None:
    with Client(path) as client, open(out, "w") as file:
        Prober(client, rate, file).run()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
