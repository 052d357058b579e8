"""A child's stderr: line by line into the log, and its last lines kept for the error of an attempt."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import time
from typing import TYPE_CHECKING

import structlog
import trio

if TYPE_CHECKING:
    from supervisor.pool.child import Child
    from supervisor.pool.life import Life

log = structlog.get_logger("stoker.worker")

CHUNK = 65536
FLOOD_CHUNK = 1024 * 1024
REST = 0.005  # seconds between two pieces of a flood
KEEP = 4096  # bytes, for the attempt's error
MAX_LINE = 4096  # bytes of one log line; the rest of it is cut
LINES_PER_SECOND, BURST = 200, 1000
BYTES_PER_SECOND, BYTES_BURST = 64 * 1024, 1024 * 1024
REPORT_EVERY = 1.0  # seconds
# A priority of syslog at the beginning of a line, as in sd-daemon(3), where systemd takes them off by itself.
PRIORITY = re.compile(r"<([0-7])>")
ERROR, WARNING, DEBUG = 3, 4, 7
DRAIN = 0.1  # seconds to read what a dead child left behind


class Budget:
    """How much of what the workers of one place say is logged. It outlives them: a worker that is replaced after each
    job has no more than one that stays."""

    def __init__(self) -> None:
        self.lines = float(BURST)
        self.bytes = float(BYTES_BURST)
        self._filled = time.monotonic()

    def allows(self) -> int:
        """Lines that may be logged now."""
        now = time.monotonic()
        passed, self._filled = now - self._filled, now
        self.lines = min(BURST, self.lines + passed * LINES_PER_SECOND)
        self.bytes = min(BYTES_BURST, self.bytes + passed * BYTES_PER_SECOND)
        return int(self.lines) if self.bytes > 0 else 0

    def spend(self, size: int) -> None:
        """A line of so many bytes is logged."""
        self.lines -= 1
        self.bytes -= size


class StderrLog:
    """Reading never stops, so that no child blocks on its own log; what is over the rate is counted, not logged."""

    def __init__(self, life: Life, budget: Budget) -> None:
        self._life = life
        self._budget = budget
        self._tail = bytearray()
        self._total = 0
        self._mark = 0
        self._line = bytearray()
        self._dropped = 0  # lines, since the last report
        self._shown = 0  # bytes that were logged, with their line ends
        self._lost = 0  # bytes that were not, and are reported
        self._reported = 0.0  # monotonic
        self._flooded = False  # the last piece had more than anybody would read
        self._chunk = CHUNK
        self._ended = trio.Event()
        self._child: Child | None = None
        self._said = select.poll()  # whether there is anything: a quarter of what a read in vain costs

    def mark(self) -> None:
        """A job starts: `since_mark` speaks of it alone. Before the first one everything counts, since why a program
        does not start is said before its first job."""
        if self._life.jobs_done:
            self._mark = self._total

    def since_mark(self) -> str | None:
        """The last lines since the job started; None if there are none."""
        new = self._total - self._mark
        if not new:
            return None
        said = bytes(self._tail[-new:])
        if new > len(said):  # it begins in the middle of a line
            said = said[said.find(b"\n", 0, -1) + 1 :]
        return said.decode("utf-8", "replace").strip() or None

    def listen(self, child: Child) -> None:
        """What is said from now on is heard, as far as it is asked for."""
        self._child = child
        self._said.register(child.stderr, select.POLLIN)

    async def follow(self, child: Child) -> None:
        self.listen(child)
        while not self._ended.is_set():
            with trio.move_on_after(REPORT_EVERY if self._unreported else float("inf")) as waiting:
                await trio.lowlevel.wait_readable(child.stderr)
            if waiting.cancelled_caught:
                self._report_dropped(now=True)
                continue
            self.catch_up()
            if self._flooded:
                self._widen(child)
                await trio.sleep(REST)

    def _widen(self, child: Child) -> None:
        """A flood is read in large pieces, at intervals, so that neither the loop nor the worker waits for it. Best
        effort: an ordinary user may have that many pipe buffers, or not."""
        if self._chunk == CHUNK:
            self._chunk = FLOOD_CHUNK
            with contextlib.suppress(OSError):
                fcntl.fcntl(child.stderr, fcntl.F_SETPIPE_SZ, FLOOD_CHUNK)

    def catch_up(self) -> None:
        """Take what was written until now."""
        if self._child is None or self._ended.is_set():
            return
        try:
            data = os.read(self._child.stderr, self._chunk)
        except BlockingIOError:
            return
        if data:
            self._take(data)
        else:
            self._finish()

    def job_ends(self) -> None:
        """Take what was written until now: it belongs to the job that ends, and so does a line that is not ended."""
        if self._said.poll(0):
            self.catch_up()
        self._end_line()

    def _end_line(self) -> None:
        if self._line:
            line = bytes(self._line)
            self._line.clear()
            self._log_line(line, end=0)

    def _finish(self) -> None:
        """No more is taken: from here on the pipe may be closed at any time."""
        self._end_line()
        self._report_dropped(now=True)
        self._ended.set()

    async def drain(self) -> None:
        """Return when everything was read, or soon after: a process that left the tree may hold the pipe open."""
        with trio.move_on_after(DRAIN):
            await self._ended.wait()
        self._finish()

    def _take(self, data: bytes) -> None:
        self._total += len(data)
        self._tail += data[-KEEP:]
        del self._tail[:-KEEP]
        # No more is looked at than may be logged: of a flood, a chunk has thousands of lines.
        *lines, rest = data.split(b"\n", self._budget.allows())
        for line in lines:
            if self._line:
                line = bytes(self._line) + line[:MAX_LINE]
                self._line.clear()
            self._log_line(line)
        self._flooded = len(rest) > MAX_LINE
        if b"\n" in rest:
            self._skip(rest)
        else:
            self._line += rest[: MAX_LINE - len(self._line)]
        self._report_dropped()

    def _skip(self, data: bytes) -> None:
        """Of a flood only the lines are counted: looking at each would cost the loop more than it costs the child."""
        self._dropped += data.count(b"\n")
        end = data.rfind(b"\n") + 1
        if end:
            self._line.clear()
        self._line += data[end : end + MAX_LINE - len(self._line)]

    def _log_line(self, line: bytes, *, end: int = 1) -> None:
        """`end`: the bytes of its end."""
        if not self._budget.allows():
            self._dropped += 1
            return
        size = min(len(line), MAX_LINE) + end
        self._shown += size
        self._budget.spend(size)
        text = line[:MAX_LINE].decode("utf-8", "replace").rstrip("\r")
        if text.startswith("<") and (said := PRIORITY.match(text)) is not None:
            self._log_as(int(said[1]), text[said.end() :])
        else:
            log.info("worker_stderr", line=text, **self._where())

    def _log_as(self, priority: int, text: str) -> None:
        if priority <= ERROR:
            log.error("worker_stderr", line=text, **self._where())
        elif priority == WARNING:
            log.warning("worker_stderr", line=text, **self._where())
        elif priority < DEBUG:
            log.info("worker_stderr", line=text, **self._where())
        else:
            log.debug("worker_stderr", line=text, **self._where())

    @property
    def _unreported(self) -> bool:
        return self._dropped > 0 or self._total - self._shown - len(self._line) > self._lost

    def _report_dropped(self, *, now: bool = False) -> None:
        """At most once a second, or `now`."""
        if not self._unreported or not (now or time.monotonic() - self._reported >= REPORT_EVERY):
            return
        lost = max(0, self._total - self._shown - len(self._line) - self._lost)
        self._reported = time.monotonic()
        dropped, self._dropped = self._dropped, 0
        self._lost += lost
        log.warning("worker_stderr_dropped", lines=dropped, bytes=lost, **self._where())

    def _where(self) -> dict[str, object]:
        life = self._life
        run = life.run
        return {
            "pool": life.pool.name,
            "slot": life.number,
            "pid": self._child.pid if self._child else None,
            "job": run.id if run else None,
            "queue": run.row.queue if run else None,
            "attempt": run.attempt if run else None,
        }
