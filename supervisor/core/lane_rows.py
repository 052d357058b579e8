"""The rows that a queue that limits keys has in memory: core.lanes, but for what it reads.

Rows of lanes of which none is blocked stand in one row, the front, as they would without keys, and cost hardly more.
A lane comes into being with the first job that has to wait for its keys, and ends with its last one.
"""

from collections.abc import Collection, Container, Iterator, Sequence

from supervisor.core.gate import NEVER
from supervisor.core.job import Ready
from supervisor.core.keys import NO_KEYS, Keys
from supervisor.core.lookahead import MAX_BYTES, MAX_ROWS
from supervisor.core.turns import BEFORE_ALL, GONE, OPEN, Lane, Place, Turns, before, place_of

MOST = 50_000
KEPT = 16


class LaneRows:
    """What is in memory, and whose turn it is."""

    def __init__(
        self,
        keys: Keys,
        *,
        max_rows: int = MAX_ROWS,
        max_bytes: int = MAX_BYTES,
        most: int = MOST,
        kept: int = KEPT,
    ) -> None:
        self.max_rows = max_rows
        self.max_bytes = max_bytes
        self._keys = keys
        self._most = most
        self._kept = kept
        self._forget()

    def _forget(self) -> None:
        self._lanes: dict[str, Lane] = {}
        self._home: dict[str, Lane] = {}  # of each row in memory, by its id
        self._bytes = 0
        self._turns = Turns(self._keys, self._parked)
        self._front = Lane(NO_KEYS)
        self._checked: Ready | None = None  # the first of the front, found to be open
        self._sure: Ready | None = None  # a row that none can come before but those that come in
        self._complete = False  # every lane with due rows is known, and one without `more` wholly
        self._horizon = BEFORE_ALL  # up to here the same is so, if not complete
        self._farthest = BEFORE_ALL  # of all rows that were ever here
        self._naming = False  # the lanes are being looked up by name,
        self._named: str | None = None  # up to this one
        self._too_many = False  # they were, and there are more than MOST
        self._named_last = False

    def __len__(self) -> int:
        """Rows in memory, be they blocked or not."""
        return len(self._home)

    def __iter__(self) -> Iterator[Ready]:
        """In no order."""
        yield from self._front.rows
        for lane in self._lanes.values():
            yield from lane.rows

    # -- jobs go out -----------------------------------------------------------------------------------------------

    def opens_at(self, now: int) -> int:
        """When the next job may begin: `now`, later, or NEVER (before a job has ended, or a read has arrived)."""
        lane = self._first(now)
        if lane is None:
            return self._turns.next_at()
        return now if self._is_next(lane) else NEVER

    def pop(self, now: int) -> Ready | None:
        """The next row that may begin, taken out."""
        if not self._lanes and self._front.rows:
            row = self._front.rows[0]
            # The usual case, for which a job pays as little as it can. Nothing has happened where it is another one.
            if (self._complete or place_of(row) <= self._horizon) and self._keys.lets_in(row.lane, now):
                del self._front.rows[0], self._home[row.id]
                self._bytes -= len(memoryview(row.payload))
                self._checked = None
                self._turns.open_rows -= 1
                return row
        lane = self._first(now)
        if lane is None or not self._is_next(lane):
            return None
        row = lane.rows.pop(0)
        del self._home[row.id]
        self._bytes -= size_of(row)
        self._checked = None
        if lane is self._front:
            self._turns.open_rows -= 1
            return row
        self._turns.advance(lane)
        if lane.where == GONE:
            del self._lanes[lane.name]
        return row

    def _first(self, now: int) -> Lane | None:
        """The lane, or the front, whose next job comes before all others that may begin."""
        rows = self._front.rows
        while True:
            lane = self._turns.first(now) if self._lanes else None
            if not rows:
                return lane
            row = rows[0]
            if lane is not None and lane.head < place_of(row):
                return lane
            if row is self._checked:
                return self._front
            known = self._lanes.get(row.lane or NO_KEYS)
            if known is None and self._keys.lets_in(row.lane, now):
                self._checked = row
                return self._front
            if known is None and self._is_full:
                self._cut_front(place_of(row))
            else:
                self._leave_front(row, known)

    def _leave_front(self, row: Ready, lane: Lane | None) -> None:
        """Its first row is of a lane that waits, or is to wait now."""
        place = place_of(row)
        del self._front.rows[0]
        self._drop(row)
        self._turns.open_rows -= 1
        if lane is None or not lane.more or place <= lane.horizon:  # else it is read with the others of its lane
            self._insert(lane or self._new(Lane(row.lane or NO_KEYS)), row, place)

    def _cut_front(self, place: Place) -> None:
        """There is no room for rows from this place on: the walk goes on there when there is."""
        rows = self._front.rows
        while rows and place_of(rows[-1]) >= place:
            self._drop(rows.pop())
            self._turns.open_rows -= 1
        self._stop_at(place)

    def _stop_at(self, place: Place) -> None:
        self._horizon = before(place) if self._complete else min(self._horizon, before(place))
        self._complete = self._naming = False
        self._sure = None

    def _drop(self, row: Ready) -> None:
        del self._home[row.id]
        self._bytes -= size_of(row)

    def enter(self, lane: str, now: int) -> None:
        """A job of this lane, that was the next one, begins."""
        self._keys.enter(lane, now)
        self._checked = None
        if self._lanes:
            self._turns.look_again()

    def leave(self, lane: str) -> bool:
        """Its attempt is over. Whether another one may begin for it."""
        key = self._keys.leave(lane)
        return key is not None and bool(self._lanes) and self._turns.freed(key)

    def blocked_by(self, now: int) -> str | None:
        """The limit for which all jobs wait, by its name in the configuration, if there are any and all do."""
        if self._first(now) is not None or not self._lanes:
            return None
        return "rate_per_key" if self._turns.timed else "concurrency_per_key"

    @property
    def ready_rows(self) -> int:
        """Of lanes that are not known to be blocked."""
        return self._turns.open_rows

    @property
    def has_begun(self) -> bool:
        """Something was read."""
        return self._complete or self._horizon > BEFORE_ALL

    def starves(self, now: int) -> bool:
        """A job may be there that may begin, but is to be read first."""
        lane = self._first(now)
        return not self._is_next(lane) if lane is not None else not (self._complete or self._is_full)

    def _is_next(self, lane: Lane) -> bool:
        """Whether it is known that no other job comes before that of the first lane in line."""
        if not lane.rows:
            return False
        row = lane.rows[0]
        if row is not self._sure and (self._complete or place_of(row) <= self._horizon or self._is_full):
            self._sure = row
        return row is self._sure

    @property
    def _is_full(self) -> bool:
        return len(self._lanes) >= self._most

    # -- rows come one by one --------------------------------------------------------------------------------------

    def takes(self, urgency: int, seq: int, lane: str | None) -> bool:
        """As core.lookahead's."""
        place = (urgency, seq)
        found = self._lanes.get(lane or NO_KEYS)
        if found is None:
            return self._sees(place, lane or NO_KEYS) and self._has_room(place)
        if found.more:
            return place <= found.horizon
        if not (self._complete or self._naming or place <= self._horizon):
            return False
        rows = found.rows
        most = self.max_rows if found.where == OPEN else self._kept
        if (len(rows) >= most or self._bytes > self.max_bytes) and rows and place > place_of(rows[-1]):
            found.more, found.horizon = True, place_of(rows[-1])
            return False
        return True

    def offer(self, row: Ready) -> bool:
        """As core.lookahead's."""
        if not self.takes(-row.priority, row.seq, row.lane) or row.id in self._home:
            return False
        name = row.lane or NO_KEYS
        lane = self._lanes.get(name)
        if lane is None and self._naming and (self._named is None or name > self._named):
            lane = self._new(Lane(name, more=True, horizon=self._horizon))
        self._insert(lane or self._front, row, place_of(row))
        return True

    def _sees(self, place: Place, name: str) -> bool:
        """Whether a lane that is not known would be, had it other rows before this place."""
        if self._complete or place <= self._horizon:
            return True
        return self._naming and self._named is not None and name <= self._named

    def _has_room(self, place: Place) -> bool:
        """In the front. Where there is none, the walk goes on from here when there is."""
        if place < self._farthest or (self._turns.open_rows < self.max_rows and self._bytes <= self.max_bytes):
            return True
        self._stop_at(place)
        return False

    def _new(self, lane: Lane) -> Lane:
        self._lanes[lane.name] = lane
        return lane

    def _insert(self, lane: Lane, row: Ready, place: Place) -> None:
        lane.insert(row, place)
        self._home[row.id] = lane
        self._bytes += size_of(row)
        if place > self._farthest:
            self._farthest = place
        if lane.where == OPEN:
            self._turns.open_rows += 1
        if lane.rows[0] is row and lane is not self._front:
            self._turns.put(lane)
        if self._bytes > self.max_bytes or self._turns.open_rows > 2 * self.max_rows or lane.where != OPEN:
            self._trim(lane)

    def _extend(self, rows: Sequence[Ready], skip: Container[str]) -> None:
        home, front = self._home, self._front
        fresh = [row for row in rows if row.id not in skip and row.id not in home]
        front.rows += fresh
        home.update(dict.fromkeys([row.id for row in fresh], front))
        self._bytes += weight_of(fresh)
        self._turns.open_rows += len(fresh)
        self._horizon = place_of(rows[-1])
        self._farthest = max(self._farthest, self._horizon)

    # -- rows leave memory -----------------------------------------------------------------------------------------

    def discard(self, ids: Collection[str]) -> None:
        """Take rows out by their ids."""
        for job_id in ids:
            lane = self._home.pop(job_id, None)
            if lane is None:
                continue
            row = next(row for row in lane.rows if row.id == job_id)
            lane.rows.remove(row)
            self._bytes -= size_of(row)
            if row is self._checked:
                self._checked = None
            if lane.where == OPEN:
                self._turns.open_rows -= 1
            if lane is not self._front:
                self._look_again(lane)

    def _look_again(self, lane: Lane) -> None:
        """Rows have been taken out of it."""
        if lane.rows or lane.more:
            self._turns.put(lane)
        else:
            del self._lanes[lane.name]
            self._turns.remove(lane)

    def _parked(self, lane: Lane) -> None:
        self._strip(lane, self._kept if self._bytes * 4 <= self.max_bytes else 0)

    def _trim(self, lane: Lane) -> None:
        """It has just been given a row, and there may be too much in memory."""
        if lane.where != OPEN:
            self._parked(lane)
        if self._bytes > self.max_bytes and self._turns.open_rows < len(self._home):
            for other in self._lanes.values():
                if other.where != OPEN:
                    self._strip(other, 0)
        least = 1 if lane is self._front or lane in self._turns.foremost(1) else 0
        while len(lane.rows) > least and (
            self._bytes > self.max_bytes or (self._turns.open_rows > 2 * self.max_rows and len(lane.rows) > 1)
        ):
            if lane is self._front:
                self._cut_front(place_of(lane.rows[-1]))
            else:
                self._strip(lane, len(lane.rows) - 1)

    def _strip(self, lane: Lane, left: int) -> None:
        """Of its rows, keep so many of the first."""
        gone = lane.rows[left:]
        if not gone:
            return
        del lane.rows[left:]
        for row in gone:
            self._drop(row)
        if lane.where == OPEN:
            self._turns.open_rows -= len(gone)
        lane.more, lane.horizon = True, before(place_of(gone[0]))
        if not left:
            self._turns.put(lane)


def size_of(row: Ready) -> int:
    return len(memoryview(row.payload))


def weight_of(rows: Sequence[Ready]) -> int:
    return sum([len(memoryview(row.payload)) for row in rows])
