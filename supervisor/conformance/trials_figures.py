"""What can only be measured: whether memory grows, and how fast the conversation is beside a bare pipe."""

import time
from collections.abc import Iterator
from itertools import islice
from statistics import mean, median

from supervisor.conformance import growth, household, languages
from supervisor.conformance.findings import Fault, Figures, NotTried, Outcome, Passed, Warned
from supervisor.conformance.payloads import Sample
from supervisor.conformance.session import Session
from supervisor.conformance.subject import Subject, new_id, request
from supervisor.conformance.trials_boot import milliseconds

MEMORY_LIMIT = 60.0  # seconds
ROUNDS = 5
LIVES = 3  # workers, where each asks to be replaced
SAMPLES = 40  # of one round
SAMPLE_AFTER = 1.0  # seconds, where jobs are slow
FEWEST = 12  # samples that say anything
LEAST_JOBS = 200

SPEED_LIMIT = 10.0  # seconds for worker and pipe together
SLICES = 5  # they take turns, so that a busy machine slows both
WARM_UP = 20  # jobs


async def memory(session: Session) -> Outcome:
    """Resident memory against jobs done. Half a round warms up; as long as it grows there is another round, since a
    heap that was not collected yet looks like a leak, and only a leak goes on."""
    record = Record(session.settings.jobs)
    run = await session.run(record.jobs(session.payloads()), MEMORY_LIMIT, record.look, lives=LIVES)
    done = len(run.answers)
    if run.lives > 1:
        return Passed(f"it asks to be replaced after {done // run.lives:,} jobs or so, which bounds its memory")
    judged = record.judged()
    if judged is None:
        return NotTried(f"{done:,} jobs in {MEMORY_LIMIT:g} s are too few to tell")
    before, after = judged[0][1], judged[-1][1]
    grew = growth.measure(judged)
    figures: Figures = {"jobs": done, "rss_before": before, "rss": after, "bytes_per_job": max(0.0, grew.per_job)}
    if not grew.suspect:
        return Passed(f"{mebibytes(after)} after {done:,} jobs, and it does not grow", figures)
    over = judged[-1][0] - judged[0][0]
    found = (
        f"its memory grew by {grew.per_job:,.0f} bytes for each of the last {over:,} of {done:,} jobs, "
        f"from {mebibytes(before)} to {mebibytes(after)}"
    )
    # A JVM does not collect what it has room for: as much growth as any leak's, without one.
    if grew.certain and session.language is not languages.JAVA:
        raise Fault("memory", found, figures)
    return Warned("memory", found, figures)


class Record:
    """Samples of memory, and as many jobs as it takes to be sure."""

    def __init__(self, round_jobs: int) -> None:
        self._round = round_jobs
        self._every = max(1, round_jobs // SAMPLES)
        self._samples: list[tuple[int, int]] = []
        self._begins = round_jobs // 2  # the samples after so many jobs are judged
        self._last = (0, time.monotonic())

    def jobs(self, payloads: Iterator[bytes]) -> Iterator[Sample]:
        for number in range(1, ROUNDS + 1):
            for payload in islice(payloads, self._round):
                yield Sample(payload)
            judged = self.judged()
            if judged is None or not growth.measure(judged).suspect:
                return
            if number < ROUNDS:
                self._begins = number * self._round

    def look(self, worker: Subject, done: int) -> None:
        if done % self._every == 0 or time.monotonic() - self._last[1] >= SAMPLE_AFTER:
            self._samples.append((done, household.rss(worker.child)))
            self._last = (done, time.monotonic())

    def judged(self) -> list[tuple[int, int]] | None:
        """The samples that count; None where they are too few. If there was no time for a whole round, it is the second
        half of what there is."""
        jobs = self._last[0]
        judged = [sample for sample in self._samples if sample[0] >= self._begins]
        if len(judged) < FEWEST:
            judged = self._samples[len(self._samples) // 2 :]
        return judged if len(judged) >= FEWEST and jobs >= LEAST_JOBS else None


async def speed(session: Session) -> Outcome:
    """Round trips with the worker, and with `cat` in its place: what is left is the worker's own time."""
    async with session.worker() as worker:
        for payload in islice(session.payloads(), WARM_UP):
            session.count(await worker.ask(payload))
            if worker.retires:
                return NotTried("it asks to be replaced too soon for its speed to say anything")
        async with session.bare_pipe() as pipe:
            slices = await _take_turns(session, worker, pipe)
    # Of each figure the middle one of all slices, so that one bad moment of the machine does not count.
    rate = median(len(ours) / sum(ours) for ours, _ in slices)
    bare_rate = median(len(bare) / sum(bare) for _, bare in slices)
    ratio = median(mean(bare) / mean(ours) for ours, bare in slices)
    times = sorted(secs for ours, _ in slices for secs in ours)
    p50, p99 = median(times), times[int(len(times) * 0.99)]
    session.warm_secs = p50
    figures = {
        "jobs": float(len(times)),
        "jobs_per_sec": rate,
        "p50_secs": p50,
        "p99_secs": p99,
        "pipe_per_sec": bare_rate,
        "pipe_p50_secs": median(secs for _, bare in slices for secs in bare),
        "ratio": ratio,
    }
    found = (
        f"{rate:,.0f} jobs/s, {ratio:.0%} of a bare pipe's {bare_rate:,.0f}; "
        f"half within {milliseconds(p50)}, 99 % within {milliseconds(p99)}"
    )
    return Passed(found, figures)


async def _take_turns(session: Session, worker: Subject, pipe: Subject) -> list[tuple[list[float], list[float]]]:
    """Seconds of each round trip, of the worker and of the pipe in turn: the same lines for both."""
    slices: list[tuple[list[float], list[float]]] = []
    payloads = session.payloads()
    count = max(2, session.settings.jobs // SLICES)
    while len(slices) < SLICES and not worker.retires:
        ours: list[float] = []
        bare: list[float] = []
        ids = [new_id() for _ in range(count)]
        lines = [(job_id, request(next(payloads), job_id, session.settings.timeout)) for job_id in ids]
        until = time.monotonic() + SPEED_LIMIT / SLICES / 2
        for job_id, line in lines:
            ours.append(session.count(await worker.exchange(job_id, line)).secs)
            if time.monotonic() >= until or worker.retires:
                break
        until = time.monotonic() + SPEED_LIMIT / SLICES / 2
        for _, line in lines:
            bare.append(await pipe.echo(line))
            if time.monotonic() >= until:
                break
        slices.append((ours, bare))
    return slices


def mebibytes(size: float) -> str:
    return f"{size / growth.MIB:.1f} MiB"
