"""The look-ahead of a queue that limits keys: a bounded cache of its due rows, lane by lane, that gives out the first
job, in claim order, of those that may begin.

It is read in three ways. A walk reads on in claim order, as core.lookahead does, behind a horizon up to which every
lane with due rows is known. Where the walk meets nothing but rows of lanes of which enough was read, be it a million,
it would not get past them soon: then all lanes are looked up by their names, each costing the same however long it is,
and from then on lanes are read one by one, the third way. A new row enters at once where its lane is known.

Memory: of blocked lanes KEPT rows each, of the others MAX_ROWS together, MAX_BYTES of payloads, and MOST lanes. Beyond
so many lanes that wait at the same time, those found first go first.
"""

from collections.abc import Container, Sequence
from typing import NamedTuple

from supervisor.core.job import Rank, Ready
from supervisor.core.keys import NO_KEYS
from supervisor.core.lane_rows import LaneRows, size_of
from supervisor.core.turns import BEFORE_ALL, OPEN, Lane, Place, before, place_of

LEAST = 8  # rows of a lane that is read
AT_ONCE = 64  # lanes
NAMES = 1000  # lanes looked up at once
LOOKED_AT = 256  # of those in line, for which of them to read


class Walk(NamedTuple):
    """Read on in claim order."""

    after: Rank | None
    limit: int
    anew: bool = False


class Names(NamedTuple):
    """Look up which lanes there are."""

    after: str | None
    limit: int


class Some(NamedTuple):
    """Read on in these lanes, of each so many rows."""

    lanes: tuple[tuple[str, Rank], ...]
    limit: int


Read = Walk | Names | Some


class Lanes(LaneRows):
    @property
    def wants_rows(self) -> bool:
        """Whether it is worth while to ask `wants`."""
        return self._turns.open_rows * 2 <= self.max_rows

    def wants(self, now: int) -> Read | None:
        """What to read next, if anything."""
        first = self._first(now)
        may_walk = not (self._complete or self._naming or self._is_full)
        starves = not self._is_next(first) if first is not None else may_walk or self._naming
        room = self._turns.open_rows * 2 <= self.max_rows and self._bytes * 2 <= self.max_bytes
        if not (starves or room):
            return None
        if self._naming and not (self._named_last and starves and first is not None and not first.rows):
            return Names(self._named, NAMES)
        if starves and may_walk and first is not None and first.first_place() > self._horizon:
            return self._walk()
        some = self._some(first)
        if some is not None:
            return some
        return self._walk() if may_walk else None

    def _walk(self) -> Walk:
        after = None if self._horizon == BEFORE_ALL else Rank(*self._horizon)
        return Walk(after, max(LEAST, self.max_rows - self._turns.open_rows))

    def _some(self, first: Lane | None) -> Some | None:
        """The lanes that are nearest to their turn and have the least."""
        line = self._turns.foremost(LOOKED_AT)
        share = max(LEAST, self.max_rows // max(1, len(line)))
        thin = [lane for lane in line if lane.more and lane.where == OPEN and len(lane.rows) * 2 <= share]
        if first is not None and first.more and not first.rows and first not in thin:
            thin.insert(0, first)
        if not thin:
            return None
        thin = sorted(thin, key=_head)[:AT_ONCE]
        limit = max(LEAST, (self.max_rows - self._turns.open_rows) // len(thin))
        return Some(tuple((lane.name, Rank(*lane.horizon)) for lane in thin), limit)

    def walked(self, asked: Walk, rows: Sequence[Ready], *, complete: bool, skip: Container[str]) -> None:
        """The store's answer. `skip`: ids that are checked out or held. An answer to a question that is no longer
        asked is dropped."""
        if asked.anew:
            self._forget()
        elif self._complete or self._naming or asked != self._walk_of(asked):
            return
        if not self._lanes and len(rows) and self._fits_behind(rows):
            self._extend(rows, skip)
            rows = ()
        known = 0
        for row in rows:
            place, lane = place_of(row), self._lanes.get(row.lane or NO_KEYS)
            if lane is not None and lane.more:
                known += 1
            elif row.id not in skip and row.id not in self._home:
                self._insert(lane or self._front, row, place)
                if row.id not in self._home:
                    if lane is None:  # there was no room, and the walk goes on from there
                        return
                    known += 1  # its lane has enough, and has said so of itself
            self._horizon = place
        self._complete = complete
        if not complete and known * 2 > len(rows) and not self._too_many:
            self._look_up_names()

    def _fits_behind(self, rows: Sequence[Ready]) -> bool:
        """The usual case: no lane is known, so all are for the front, behind what is there, and there is room."""
        front = self._front.rows
        behind = not front or place_of(front[-1]) < place_of(rows[0])
        return behind and self._bytes + sum(map(size_of, rows)) <= self.max_bytes

    def _walk_of(self, asked: Walk) -> Walk:
        return asked._replace(after=None if self._horizon == BEFORE_ALL else Rank(*self._horizon))

    def _look_up_names(self) -> None:
        """From now on each lane is read by itself, from where the walk has come to."""
        while self._front.rows:
            row = self._front.rows[0]
            self._leave_front(row, self._lanes.get(row.lane or NO_KEYS))
        self._naming, self._named, self._named_last = True, None, False
        for lane in self._lanes.values():
            if not lane.more:
                lane.more, lane.horizon = True, self._horizon

    def named(self, asked: Names, found: Sequence[tuple[str, Rank]]) -> None:
        """The store's answer: lanes in the order of their names, and the place of the first row of each."""
        if not self._naming or asked.after != self._named:
            return
        self._named_last = True
        for name, rank in found:
            self._named = name
            if name not in self._lanes:
                horizon = before((rank.urgency, rank.seq))
                self._turns.put(self._new(Lane(name, more=True, horizon=horizon)))
        if len(self._lanes) > self._most:
            self._naming, self._too_many = False, True
        elif len(found) < asked.limit:
            self._naming, self._complete = False, True

    def filled(self, asked: Some, found: Sequence[tuple[Sequence[Ready], bool]], *, skip: Container[str]) -> None:
        """The store's answer: for some of the lanes, from the first one on, their rows, and whether those are all."""
        self._named_last = False
        for (name, after), (rows, complete) in zip(asked.lanes, found, strict=False):
            lane = self._lanes.get(name)
            if lane is None or not lane.more or lane.horizon != (after.urgency, after.seq):
                continue
            self._fill(lane, rows, complete, skip)

    def _fill(self, lane: Lane, rows: Sequence[Ready], complete: bool, skip: Container[str]) -> None:
        lane.more = not complete
        if rows:
            lane.horizon = place_of(rows[-1])
        for row in rows:
            if row.id not in skip and row.id not in self._home:
                self._insert(lane, row, place_of(row))
                if self._home.get(row.id) is not lane:  # there was no room, and it has said so of itself
                    return
        self._look_again(lane)


def _head(lane: Lane) -> Place:
    return lane.head
