"""Where each line of a batch is, between the file that it was read from and the file that its record goes to.

Lines are fed in order and end in any. What is remembered of them is bounded: those that are in the store, and those
whose records are to be written; of the rest the place before the first that is not answered says all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import trio

from supervisor.core.job import Job, JobError, Outcome, State
from supervisor.lines.line import Line

HELD_BYTES = 4 * 1024 * 1024  # of results and errors that wait for the disk; of what comes beyond, the store is asked
HURRY = 1000  # records that are written at once rather than gathered any longer

IN_ITS_PAYLOAD = b""  # in place of a custom_id that is not known without it


class Place(NamedTuple):
    """Behind the line `number`, at `offset`."""

    number: int
    offset: int


class Step(NamedTuple):
    """A line that was read, and the places before and behind it."""

    line: Line
    before: Place
    behind: Place


class Sent(NamedTuple):
    """A line whose job is in the store and has not ended, as far as is known."""

    number: int
    custom_id: bytes | None
    size: int  # of its payload


class Ending(NamedTuple):
    """A line that is answered as soon as this is on disk. `state` None: its job was deleted. `cause` is of a line that
    never was a job, or was not to become one any more; `message` says it in words."""

    number: int
    custom_id: bytes | None
    state: State | None = None
    result: bytes | None = None
    error: JobError | None = None
    cause: str = ""
    message: str = ""
    job_id: str | None = None

    @property
    def weight(self) -> int:
        error = self.error
        said = 0 if error is None else len(error.message) + len(error.stderr or "") + len(memoryview(error.details))
        return len(self.result or b"") + said


class Group(NamedTuple):
    """What is written together. `far`: ids of jobs that have ended, with their lines, of which the store has the rest.
    `over`: jobs whose lines were answered before. `place`: all lines before it are answered by then. `complete`: and so
    are all."""

    endings: list[Ending]
    far: dict[str, Sent]
    blanks: list[int]
    over: list[str]
    place: Place
    complete: bool


class Tracking:
    """`room` is set when a job has ended while somebody waited for one to; `news` when there is something to write,
    `hurry` when that should not be put off."""

    def __init__(self) -> None:
        self.sent: dict[str, Sent] = {}
        self.size = 0  # of the payloads of these
        self.delayed: set[str] = set()  # those that wait for their next attempt
        self.ended = 0  # jobs, so far
        self.over: list[str] = []  # jobs whose lines are answered already, to be deleted
        self.news = trio.Event()
        self.hurry = trio.Event()
        self.room = trio.Event()
        self.written = trio.Event()  # set, and another takes its place, when something was written, or could not be
        self._read = Place(0, 0)
        self._all_read = False
        self._writing = False
        # Lines that are not answered, and whose places are not known perhaps; each with its job.
        self._inherited: dict[int, str] = {}
        self._deleted: dict[int, str] = {}  # of these, those whose jobs are gone before anybody has read what they are
        self._open: dict[int, Place] = {}  # lines that are not answered, and the places before them
        self._endings: list[Ending] = []
        self._far: dict[str, Sent] = {}
        self._blanks: list[int] = []
        self._held = 0

    def begin_at(self, place: Place) -> None:
        self._read = place

    @property
    def place(self) -> Place:
        """Behind the last line that was taken from the file."""
        return self._read

    @property
    def under_way(self) -> int:
        """Jobs that are in the store and do not wait for another attempt."""
        return len(self.sent) - len(self.delayed)

    @property
    def unwritten(self) -> int:
        return len(self._endings) + len(self._far)

    # -- lines go in -----------------------------------------------------------------------------------------------

    def take(self, steps: Sequence[Step]) -> None:
        """These lines are about to be handed over, or answered here."""
        if steps:
            self._open.update((step.line.number, step.before) for step in steps)
            self._read = steps[-1].behind

    def untake(self, steps: Sequence[Step]) -> None:
        """It did not come to it: they are read once more, or given again."""
        if steps:
            for step in steps:
                del self._open[step.line.number]
            self._read = steps[0].before

    def skip(self, blanks: Iterable[int]) -> None:
        """Lines that are not to be answered."""
        self._blanks.extend(blanks)

    def inherit(self, job_id: str, number: int, *, due: bool = True) -> None:
        """A job that an earlier life of the daemon has handed over; not `due` where it waits for its next attempt."""
        self._inherited[number] = job_id
        self.send(job_id, Sent(number, IN_ITS_PAYLOAD, 0))
        if not due:
            self.delayed.add(job_id)

    def pass_over(self, step: Step) -> None:
        """A line that an earlier life has answered, or has handed over."""
        number, custom_id = step.line.number, step.line.custom_id
        self._read = step.behind
        if number not in self._inherited:
            return
        self._open[number] = step.before
        job_id = self._inherited[number]
        if job_id in self.sent:
            self.sent[job_id] = self.sent[job_id]._replace(custom_id=custom_id)
        if self._deleted.pop(number, None) is not None:
            self.answer([Ending(number, custom_id, job_id=job_id)])

    def end_of_input(self) -> None:
        self._all_read = True
        self._tell()

    def send(self, job_id: str, sent: Sent) -> None:
        self.sent[job_id] = sent
        self.size += sent.size

    def answer(self, endings: Sequence[Ending]) -> None:
        """Of lines that are not jobs."""
        self._endings += endings
        self._tell()

    # -- jobs come back --------------------------------------------------------------------------------------------

    def heard(self, job_id: str, end: Outcome | Job | None) -> None:
        """As pool.waiters.Heard."""
        sent = self.sent.get(job_id)
        if sent is None:  # somebody had it run once more, between its end and its deletion
            if end is not None and end.state.final and job_id not in self._far:
                self.over.append(job_id)
            return
        if end is not None and not end.state.final:
            if isinstance(end, Outcome) and not end.due:
                self.delayed.add(job_id)
                self._make_room()
            return
        self._gone(job_id, sent)
        self.ended += 1
        ending = ending_of(sent, job_id, end)
        unknown = sent.custom_id == IN_ITS_PAYLOAD
        if unknown and end is None:  # its payload is in the file alone, and the reader will come by
            self._deleted[sent.number] = job_id
        elif unknown or (self._held and self._held + ending.weight > HELD_BYTES):
            self._far[job_id] = sent
        else:
            self._held += ending.weight
            self._endings.append(ending)
        self._tell()

    def met(self, job_id: str) -> None:
        """A job that had ended before it was handed over, or before this daemon began."""
        sent = self.sent[job_id]
        self._gone(job_id, sent)
        self._far[job_id] = sent
        self._tell()

    def answered_before(self, job_id: str) -> None:
        """A job whose record an earlier life has written."""
        sent = self.sent.get(job_id)
        if sent is not None:
            self._gone(job_id, sent)
        far = self._far.pop(job_id, None)
        for one in (sent, far):
            if one is not None:
                self._inherited.pop(one.number, None)
        self.over.append(job_id)

    def _gone(self, job_id: str, sent: Sent) -> None:
        del self.sent[job_id]
        self.size -= sent.size
        self.delayed.discard(job_id)
        self._make_room()

    def _make_room(self) -> None:
        if not self.room.is_set():
            self.room.set()

    def _tell(self) -> None:
        if not self.news.is_set():
            self.news.set()
        if not self.hurry.is_set() and (not self.sent or self.unwritten >= HURRY or self._held * 2 > HELD_BYTES):
            self.hurry.set()

    # -- records go out --------------------------------------------------------------------------------------------

    @property
    def complete(self) -> bool:
        """Whether every line is answered once what is here has been written."""
        return self._all_read and not self.sent

    def collect(self) -> Group:
        """All that is to be written."""
        endings, self._endings = self._endings, []
        far, self._far = self._far, {}
        blanks, self._blanks = self._blanks, []
        over, self.over = self.over, []
        self._held = 0
        self.news, self.hurry = trio.Event(), trio.Event()
        self._writing = True
        for number in (*(one.number for one in endings), *(one.number for one in far.values())):
            self._open.pop(number, None)
            self._inherited.pop(number, None)
        # A line that was handed over by an earlier life has no place before the reader comes by, and one that is to be
        # given again has lost it; the reader stands before both.
        first = min(self._open[min(self._open)], self._read) if self._open else self._read
        return Group(endings, far, blanks, over, first, self.complete)

    @property
    def at_rest(self) -> bool:
        """Whether everything that there was to write is on disk."""
        return not self._writing and not self.unwritten

    def wrote(self) -> None:
        """What was collected is on disk."""
        self._writing = False
        self._news_of_writing()

    def stuck(self) -> None:
        """What was collected could not be written, and is tried again."""
        self._news_of_writing()

    def _news_of_writing(self) -> None:
        self.written.set()
        self.written = trio.Event()


def ending_of(sent: Sent, job_id: str, end: Outcome | Job | None) -> Ending:
    if end is None:
        return Ending(sent.number, sent.custom_id, job_id=job_id)
    return Ending(sent.number, sent.custom_id, end.state, end.result, end.error, job_id=job_id)
