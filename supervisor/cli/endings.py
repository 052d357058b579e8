"""Waiting for jobs, and telling a person how they ended."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from math import inf
from time import monotonic
from typing import Any, TypeAlias

import click

from protocol.client import CallFailed, Client, ClientTimeout, Disconnected
from supervisor.cli.comeback import BACK_SECS, Line
from supervisor.cli.failures import NoDaemonThere, say
from supervisor.cli.live import LiveLine, how_far
from supervisor.cli.main import INTERRUPTED
from supervisor.cli.standstill import ANSWER_SECS, why_it_waits

Job: TypeAlias = dict[str, Any]
Ending: TypeAlias = Job | CallFailed

# Waits in flight at once; the daemon stops reading a connection with 128 unanswered requests.
WINDOW = 100
# Seconds of silence before the first look at what keeps a job from starting; doubled with each look.
FIRST_LOOK, LAST_LOOK = 2.0, 32.0
PROGRESS_SECS = 1.0  # between two looks at how far it is


def endings(client: Client, ids: Sequence[str], timeout: float | None) -> Iterator[Ending]:
    """Each job once it is final, in the order of `ids`, or what the daemon said instead (`timeout`, `not_found`).

    One request for each job, not one for all: an answer has a limit of its own, and a thousand results may pass it.
    `timeout` (seconds) is for all of them together. What keeps a job from starting is said once, on stderr.
    """
    deadline = None if timeout is None else monotonic() + timeout
    come: dict[int, Ending] = {}
    sent = 0
    with closing(_Waits(client, ids, deadline)) as waits:
        listen = _Listening(waits, len(ids))
        for place in range(len(ids)):
            while sent < len(ids) and waits.out < WINDOW:
                waits.send(sent)
                sent += 1
            with listen:
                while place not in come:
                    other, ending = listen.receive(ids[place], place + len(come))
                    come[other] = ending
            yield come.pop(place)


class _Waits(Line):
    """The waits that are out. A job outlives its daemon, and so does a wait for it: it is asked anew of a daemon that
    comes back within BACK_SECS."""

    def __init__(self, client: Client, ids: Sequence[str], deadline: float | None) -> None:
        super().__init__(client)
        self._places: dict[int, int] = {}  # by the numbers of their requests
        self._unsent: list[int] = []  # places
        self._ids = ids
        self._deadline = deadline
        self._away_since: float | None = None

    @property
    def out(self) -> int:
        return len(self._places) + len(self._unsent)

    def send(self, place: int) -> None:
        """Where nobody takes it, `receive` says so."""
        params: dict[str, Any] = {"id": self._ids[place]}
        if self._deadline is not None:
            params["timeout_secs"] = max(0.0, self._deadline - monotonic())
        try:
            self._places[self.client.send("wait", params)] = place
        except Disconnected:
            self._unsent.append(place)

    def receive(self, patience: float | None) -> tuple[int, Ending]:
        """The next ending and its place. Raises ClientTimeout after `patience` seconds, and Disconnected."""
        try:
            if self._unsent:
                raise Disconnected("the daemon went away")
            request, ending = self.client.receive(patience)
        except CallFailed as error:
            if error.request is None:
                raise
            request, ending = error.request, error
        self._away_since = None
        return self._places.pop(request), ending

    def resume(self, gone: Disconnected) -> None:
        """Raises `gone` when the daemon stays away, or comes back again and again without a word."""
        if self._away_since is None:
            self._away_since = monotonic()
            if BACK_SECS:
                say("the daemon went away; the wait goes on when it is back")
        self.reconnect(gone, self._away_since + BACK_SECS)
        asked = sorted([*self._places.values(), *self._unsent])
        self._places, self._unsent = {}, []
        for place in asked:
            self.send(place)


class _Listening:
    """Takes the answers as they come. Between them, until it has found it once, it looks for why there are none; and on
    a terminal it shows how far the first job is that has not ended, while inside of it as a context manager."""

    def __init__(self, waits: _Waits, jobs: int) -> None:
        self._waits = waits
        self._jobs = jobs
        self._look = FIRST_LOOK
        self._line = LiveLine()
        self._why_at = monotonic() + FIRST_LOOK
        self._progress_at = monotonic() + PROGRESS_SECS if self._line.shown else inf

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self._line.clear()

    def receive(self, job_id: str, ended: int) -> tuple[int, Ending]:
        """The next ending and its place. `job_id`: the one to look at; so many others have `ended`."""
        while True:
            try:
                answer = self._waits.receive(self._patience())
            except ClientTimeout:
                with suppress(Disconnected):  # of which the next receive tells
                    self._look_around(job_id, ended)
            except Disconnected as gone:
                self._line.clear()
                self._waits.resume(gone)
            else:
                if self._why_at < inf:
                    self._why_at = monotonic() + self._look
                return answer

    def _patience(self) -> float | None:
        next_at = min(self._why_at, self._progress_at)
        return None if next_at == inf else max(0.0, next_at - monotonic())

    def _look_around(self, job_id: str, ended: int) -> None:
        if self._progress_at <= monotonic():
            self._show(job_id, ended)
        if self._why_at <= monotonic():
            self._tell(job_id)

    def _show(self, job_id: str, ended: int) -> None:
        """By `get`: it knows more than what is written down, and also of queues that are not in the journal. A job with
        a large payload is not asked for as often."""
        began = monotonic()
        with suppress(CallFailed, ClientTimeout):
            job = self._waits.client.call("get", {"id": job_id}, ANSWER_SECS)
            others = f"{ended} of {self._jobs} have ended; " if self._jobs > 1 else ""
            self._line.show(others + how_far(job))
        self._progress_at = monotonic() + min(max(PROGRESS_SECS, 20 * (monotonic() - began)), LAST_LOOK)

    def _tell(self, job_id: str) -> None:
        why = why_it_waits(self._waits.client, job_id)
        if why is None:
            self._look = min(self._look * 2, LAST_LOOK)
            self._why_at = monotonic() + self._look
        else:
            self._line.clear()
            say(f"{'it' if self._jobs == 1 else f'job {job_id}'} waits: {why}")
            self._why_at = inf


@contextmanager
def patience(ids: Sequence[str]) -> Iterator[None]:
    """Around a wait: when it is cut short, the jobs are not, and the words say how to look at them."""
    which = f"job {ids[0]} stays" if len(ids) == 1 else f"the {len(ids)} jobs stay"
    example = f"`stoker wait {ids[0]}`" if ids else ""
    try:
        yield
    except KeyboardInterrupt:
        say(f"no longer waiting; {which} in the queue: look with {example}, end with `stoker cancel`")
        raise click.exceptions.Exit(INTERRUPTED) from None
    except Disconnected:
        raise NoDaemonThere(
            f"the daemon went away while we waited; {which} in the queue; when it is back: {example}"
        ) from None


def complaint(job_id: str, ending: Ending, timeout: float | None) -> str | None:
    """Why there is no result, in a sentence (a failed job's stderr in further lines); None for a job that is done."""
    if isinstance(ending, CallFailed):
        if ending.code == "timeout" and timeout is not None:
            stays = f"job {job_id} has not ended within {timeout:g}s and stays in the queue"
            return f"{stays}: `stoker wait {job_id}` waits again"
        return ending.message
    if ending["state"] == "done":
        return None
    if ending["state"] == "failed":
        return _failure(ending)
    if ending["state"] == "cancelled" and ending.get("error") and ending["error"]["cause"] == "replaced":
        return f"job {job_id} was cancelled: {ending['error']['message']}"
    told = {"cancelled": "was cancelled", "expired": "expired before it was done"}
    return f"job {job_id} {told.get(ending['state'], 'is ' + ending['state'])}"


def blame(error: dict[str, Any]) -> str:
    """The cause and the worker's or the daemon's words, with exit code or signal where these leave them out."""
    text = f"{error['cause']}: {error['message']}"
    code, signal = error.get("exit_code"), error.get("signal")
    if signal and signal not in text:
        text += f" ({signal})"
    elif code is not None and f"code {code}" not in text:
        text += f" (exit code {code})"
    return text


def _failure(job: Job) -> str:
    tries = "on its first attempt" if job["attempt"] == 1 else f"after {job['attempt']} attempts"
    error = job["error"]
    if error is None:
        return f"job {job['id']} failed {tries}"
    text = f"job {job['id']} failed {tries}: {blame(error)}"
    if error.get("stderr"):
        text += f"\nlast lines of its stderr:\n{error['stderr'].rstrip()}"
    return text
