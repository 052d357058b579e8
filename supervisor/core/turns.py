"""Whose turn it is: the lanes of a queue, those whose next job may begin by the place of that job, and the others by
what they wait for.

Nobody looks at a lane before it is the first in line. So what is said of the others may be out of date, and costs
nothing: a lane that turns out to be blocked is parked when it comes up.
"""

import heapq
from bisect import bisect_left
from collections.abc import Callable

from supervisor.core.gate import NEVER
from supervisor.core.job import Ready
from supervisor.core.keys import Keys, keys_of

Place = tuple[int, int]  # urgency and seq: a core.job.Rank that compares faster
BEFORE_ALL: Place = (-(2**63), 0)

OPEN, TIMED, WAITING, GONE = range(4)  # whether a lane is in line, waits for its rate, or for a job of its key to end


class Lane:
    """Due jobs with the same keys. `rows` are the first of them in claim order, `more`: there may be others in the
    store, all of them behind `horizon`."""

    __slots__ = ("concurrency_key", "head", "horizon", "more", "name", "rate_key", "rows", "until", "where")

    def __init__(self, name: str, *, more: bool = False, horizon: Place = BEFORE_ALL) -> None:
        self.name = name
        self.rate_key, self.concurrency_key = keys_of(name)
        self.rows: list[Ready] = []  # few: a deque is larger
        self.more = more
        self.horizon = horizon
        self.where = OPEN
        self.until = 0  # of one that waits for its rate
        self.head = behind(horizon)

    def __lt__(self, other: "Lane") -> bool:
        """For heaps, where two have the same place."""
        return self.name < other.name

    def insert(self, row: Ready, place: Place) -> None:
        rows = self.rows
        if not rows or place > place_of(rows[-1]):
            rows.append(row)
        else:
            rows.insert(bisect_left(rows, place, key=place_of), row)

    def first_place(self) -> Place:
        """Of its next job; where that has not been read, none of its jobs is before this place."""
        return place_of(self.rows[0]) if self.rows else behind(self.horizon)


class Turns:
    """`on_parked` hears of each lane that is blocked. `open_rows`: of all lanes that are in line."""

    def __init__(self, keys: Keys, on_parked: Callable[[Lane], None]) -> None:
        self._keys = keys
        self._on_parked = on_parked
        self.open_rows = 0
        self.timed = 0  # so many lanes wait for their rate
        self._line: list[tuple[int, int, Lane]] = []
        self._clock: list[tuple[int, Lane]] = []
        self._queues: dict[str, list[tuple[int, int, Lane]]] = {}  # by concurrency key
        self._first: Lane | None = None  # found so, and nothing has happened since: it is asked for several times a job

    def put(self, lane: Lane) -> None:
        """It is new, or its next job is another one."""
        self._first = None
        before, lane.head = lane.head, lane.first_place()
        if lane.where == OPEN:
            heapq.heappush(self._line, (*lane.head, lane))
            if lane.head > before:  # the job it was let in for has gone: another lane's may come first now
                self._pass_on(lane)
        elif lane.where == WAITING and lane.head < before:
            self._open(lane)  # if a place is free, it goes before the one that was let in for it
        elif lane.where == WAITING:
            heapq.heappush(self._queues[lane.concurrency_key or ""], (*lane.head, lane))

    def remove(self, lane: Lane) -> None:
        """It has no job any more."""
        self._first = None
        where, lane.where = lane.where, GONE
        if where == OPEN:
            self._pass_on(lane)
        elif where == TIMED:
            self.timed -= 1

    def first(self, now: int) -> Lane | None:
        """The lane whose next job comes before that of all others that may begin now."""
        clock, line = self._clock, self._line
        if self._first is not None and not (clock and clock[0][0] <= now):
            return self._first
        while clock and clock[0][0] <= now:
            until, lane = heapq.heappop(clock)
            if lane.where == TIMED and lane.until == until:
                self._open(lane)
        while line:
            urgency, seq, lane = line[0]
            if lane.where == OPEN and lane.head == (urgency, seq):
                opens = self._keys.opens_at(lane.rate_key, lane.concurrency_key, now)
                if opens == now:
                    self._first = lane
                    return lane
                heapq.heappop(line)
                self._park(lane, opens)
            else:
                heapq.heappop(line)
        return None

    def advance(self, lane: Lane) -> None:
        """The next job of the first in line has been taken."""
        self._first = None
        self.open_rows -= 1
        if lane.rows or lane.more:
            lane.head = lane.first_place()
            heapq.heapreplace(self._line, (*lane.head, lane))
        else:
            heapq.heappop(self._line)
            lane.where, lane.head = GONE, BEFORE_ALL
            if self._queues:
                self._pass_on(lane)

    def look_again(self) -> None:
        """A job has begun: whoever was found to be the first may have to wait for that."""
        self._first = None

    def next_at(self) -> int:
        """When the next of those that wait for their rate may be in line again, or NEVER. It may be too early."""
        return self._clock[0][0] if self._clock else NEVER

    def freed(self, concurrency_key: str) -> bool:
        """A job of that key has ended. Whether one is in line again for it."""
        queue = self._queues.get(concurrency_key)
        while queue:
            urgency, seq, lane = heapq.heappop(queue)
            if not queue:
                del self._queues[concurrency_key]
            if lane.where == WAITING and lane.head == (urgency, seq):
                self._open(lane)
                return True
        return False

    def foremost(self, most: int) -> list[Lane]:
        """Some of the first in line, the very first among them."""
        return list(dict.fromkeys(lane for *place, lane in self._line[:most] if lane.head == tuple(place)))

    def _park(self, lane: Lane, opens: int) -> None:
        self.open_rows -= len(lane.rows)
        if opens == NEVER:
            lane.where = WAITING
            heapq.heappush(self._queues.setdefault(lane.concurrency_key or "", []), (*lane.head, lane))
        else:
            lane.where, lane.until = TIMED, opens
            self.timed += 1
            heapq.heappush(self._clock, (opens, lane))
            self._pass_on(lane)
        self._on_parked(lane)

    def _open(self, lane: Lane) -> None:
        self._first = None
        self.timed -= lane.where == TIMED
        lane.where = OPEN
        self.open_rows += len(lane.rows)
        heapq.heappush(self._line, (*lane.head, lane))

    def _pass_on(self, lane: Lane) -> None:
        """One that leaves the line may have been let in for a place that is free still: the next one of its key gets
        it. To let all in for each place would cost as much as there are."""
        if lane.concurrency_key is not None:
            self.freed(lane.concurrency_key)


def place_of(row: Ready) -> Place:
    return -row.priority, row.seq


def behind(place: Place) -> Place:
    return place[0], place[1] + 1


def before(place: Place) -> Place:
    return place[0], place[1] - 1
