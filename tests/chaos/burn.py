"""Processor time burnt outside stoker, in bursts like a worker's boot: `burn.py SHARE SEED`, of one processor.

It keeps to its share over time: what it was kept from it makes up for, as work that waits would.
"""

import random
import sys
import time

BURST = 0.015  # seconds, as long as a small Python needs to start


def burn(share: float, chance: random.Random) -> None:
    began = time.monotonic()
    while True:
        burst = chance.expovariate(1 / BURST)
        until = time.process_time() + burst
        while time.process_time() < until:
            sum(range(100))
        ahead = time.process_time() / share - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead * chance.uniform(0.5, 1.5))


if __name__ == "__main__":
    burn(float(sys.argv[1]), random.Random(sys.argv[2]))
