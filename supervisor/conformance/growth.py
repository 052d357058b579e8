"""Whether memory grows with the number of jobs. Pure: samples in, a judgement out."""

from collections.abc import Sequence
from itertools import combinations, pairwise
from statistics import median
from typing import NamedTuple

KIB, MIB = 1024, 1024 * 1024

WARN_PER_JOB, WARN_TOTAL = 128, 1 * MIB  # bytes; both have to be passed
FAIL_PER_JOB, FAIL_TOTAL = KIB, 4 * MIB


class Growth(NamedTuple):
    """`per_job`: bytes that each job adds, as the samples' middle says; `total`: over all the jobs of the samples;
    `steady`: it rose all the way, where an allocator's steps and a collector's waves do not."""

    per_job: float
    total: float
    steady: bool

    @property
    def suspect(self) -> bool:
        return self.steady and self.per_job >= WARN_PER_JOB and self.total >= WARN_TOTAL

    @property
    def certain(self) -> bool:
        return self.steady and self.per_job >= FAIL_PER_JOB and self.total >= FAIL_TOTAL


def measure(samples: Sequence[tuple[int, int]]) -> Growth:
    """`samples`: (jobs done, resident bytes), six at least, in order. The slope is the middle one of all pairs
    (Theil and Sen's), which a few stray samples do not move."""
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(samples, 2)]
    per_job = median(slopes)
    quarter = max(1, len(samples) // 4)
    levels = [median(size for _, size in samples[start : start + quarter]) for start in range(0, 4 * quarter, quarter)]
    steady = all(later > earlier for earlier, later in pairwise(levels))
    return Growth(per_job, per_job * (samples[-1][0] - samples[0][0]), steady)
