"""A client for stoker's control socket: this one file, the standard library alone. Copy it where you need it.

    with Client() as stoker:
        job = stoker.submit("thumbs", {"path": "a.png"})
        print(stoker.wait(job["id"])["result"])

Blocking, for one thread at a time. Methods, parameters and errors are those of protocol/README.md.
"""

# mypy: disable-error-code=no-any-return
# (what the daemon answers is JSON: the methods below say which shape, they do not check it again)

from __future__ import annotations

import json
import os
import select
import socket
import stat
import struct
from binascii import a2b_base64, b2a_base64
from collections import deque
from time import monotonic, sleep

TYPE_CHECKING = False  # not `from typing import …`: it would cost a third of the time this file takes to import
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
    from typing import Any, BinaryIO

    Object = dict[str, Any]
    Objects = list[Object]

_CHUNK = 256 * 1024
_NEVER = float("inf")
_PAUSE = 0.05  # seconds between two looks for a daemon that is not there
# What may be asked twice, beside submits with a key.
_READS = {"ping", "get", "wait", "list", "events", "running", "position", "queues", "pools", "workers", "status"}
_READS |= {"batch_get", "batch_list", "batch_output"}
_MALFORMED = (-32700, -32600, -32601, -32602)  # of JSON-RPC, for calls it cannot make sense of
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class ClientError(Exception):
    """The root of what this client raises. (A payload that JSON cannot hold is a TypeError or ValueError.)"""


class NoDaemon(ClientError):
    """Nobody listens at the path, or we may not connect to it."""


class Disconnected(ClientError):
    """The daemon went away. What it left unanswered may have happened or not: submit with a key, and ask again.
    `unheard`: the request that failed has certainly not happened."""

    unheard = False


class ClientTimeout(ClientError):
    """No answer in the time this client was given. (A `wait` whose own timeout passed is a CallFailed, `timeout`.)"""


class CallFailed(ClientError):
    """The daemon said no. `code` is a stable word, `message` is for people, `data` what else it told."""

    def __init__(self, error: Any, request: int | None) -> None:
        told = error if isinstance(error, dict) else {}
        data = told.get("data")
        self.data: Object = data if isinstance(data, dict) else {}
        self.code = str(self.data.get("code") or ("invalid" if told.get("code") in _MALFORMED else "internal"))
        self.message = str(told.get("message") or "the call failed")
        self.request = request  # what `send` returned
        super().__init__(self.message)


def find_socket(explicit: str | None, environ: Mapping[str, str], configured: str | None = None) -> list[str]:
    """The paths to try, in order: the one that was asked for, $STOKER_SOCKET or the configuration's, and nothing else;
    without these the user's socket, then the system's."""
    chosen = explicit or environ.get("STOKER_SOCKET") or configured
    return [chosen] if chosen else [f"{folder}/stoker.sock" for folder in (_own_folder(environ), "/run") if folder]


def _own_folder(environ: Mapping[str, str]) -> str | None:
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime):
        return runtime
    folder = f"/tmp/stoker-{os.getuid()}"
    try:
        found = os.lstat(folder)
    except OSError:
        return None
    # Anybody may write to /tmp: a folder that is not ours alone could hold somebody else's "daemon".
    return folder if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077 else None


class Client:
    """One connection. `timeout` is seconds for each call, None: as long as it takes.

    `patience` is for a daemon that is restarted: for so many seconds a daemon that is not there is looked for, and a
    call that lost its connection is made again on a new one. That is done where nothing can happen twice: the daemon
    cannot have heard it, it only reads, or all it submits has keys. Not for `subscribe`, nor what `send` sent.
    """

    def __init__(self, path: str | None = None, timeout: float | None = None, patience: float = 0.0) -> None:
        self.timeout = timeout
        self.patience = patience
        self._paths = find_socket(path, os.environ)
        self._last_id = 0
        self._awaited: set[int] = set()  # sent by `send`, and not received yet
        self._early: deque[Object] = deque()  # answers for `receive` that came while `call` waited for its own
        self._begin(monotonic() + patience)

    def _begin(self, until: float) -> None:
        """A new connection, with nothing of the last one's."""
        self._socket = _connect(self._paths, self.timeout, until)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._unsent = bytearray()
        self._received = bytearray()
        self._scanned = 0  # this much of it is known to hold no line end
        self._ended = False
        self._unheard = 0  # the last request that did not leave as a whole

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    # The methods of the control protocol.

    def ping(self) -> Object:
        return self.call("ping")

    def submit(self, queue: str, payload: Any, **options: Any) -> Object:
        """Options: priority, run_at, delay_secs, timeout_secs, max_attempts, backoff, expires_in_secs, client + key,
        unique + on_conflict, name, tags, rate_key, concurrency_key."""
        return self.call("submit", {"queue": queue, "payload": payload, **options})

    def submit_many(self, jobs: Sequence[Object]) -> Objects:
        """All or none. Each job is an object with the parameters of `submit`."""
        return self.call("submit_many", {"jobs": jobs})["jobs"]

    def get(self, id: str | None = None, *, client: str | None = None, key: str | None = None) -> Object:
        return self.call("get", _given(id=id, client=client, key=key))

    def wait(self, id: str, timeout_secs: float | None = None) -> Object:
        """The job once it is final."""
        return self._wait({"id": id}, timeout_secs)

    def wait_all(self, ids: Sequence[str], timeout_secs: float | None = None) -> Objects:
        """All these jobs once they are final, in this order."""
        return self._wait({"ids": ids}, timeout_secs)["jobs"]

    def list(self, **filters: Any) -> Object:
        """Filters: queue, state (one or many), cause, tag, client, name, created_after, created_before, finished_after,
        finished_before; and limit, cursor, full."""
        return self.call("list", filters)

    def events(self, **options: Any) -> Object:
        """A page. Options: since or last, job, queue, kind (one or many), limit, wait_secs."""
        wait_secs = options.get("wait_secs")
        if wait_secs is None or self.timeout is None:
            return self.call("events", options)
        return self.call("events", options, wait_secs + self.timeout)

    def subscribe(self, **options: Any) -> Iterator[tuple[str, Object]]:
        """What happens, as long as the daemon is there: ("event", an event), ("gap", events that were removed before
        you took them) and, of nothing but how far it is, ("place", …); each has the `cursor` to go on from as `since`.
        Options: those of `events` but for the last two. For a connection that does nothing else."""
        place = self.call("subscribe", options)
        return self._notifications(place)

    def running(self, queue: str | None = None, limit: int | None = None) -> Object:
        return self.call("running", _given(queue=queue, limit=limit))

    def position(self, id: str) -> Object:
        return self.call("position", {"id": id})

    def cancel(self, id: str) -> Object:
        return self.call("cancel", {"id": id})

    def retry(self, id: str) -> Object:
        return self.call("retry", {"id": id})

    def delete(self, id: str) -> Object:
        return self.call("delete", {"id": id})

    def retry_many(self, **filters: Any) -> Object:
        """The filters of `list`, or `all=True`; with `dry_run=True` those that match are counted and left alone."""
        return self._answer(self._write("retry_many", filters, None), None)

    def cancel_many(self, **filters: Any) -> Object:
        """As retry_many; returns when nothing of them runs any more."""
        return self._answer(self._write("cancel_many", filters, None), None)

    def delete_many(self, **filters: Any) -> Object:
        """As retry_many."""
        return self._answer(self._write("delete_many", filters, None), None)

    def purge(self, queue: str, **options: Any) -> Object:
        """Delete the queue's pending jobs. Options: state (one or many, in place of pending), dry_run."""
        return self._answer(self._write("purge", {"queue": queue, **options}, None), None)

    def queues(self, queue: str | None = None) -> Objects:
        return self.call("queues", _given(queue=queue))["queues"]

    def pause(self, queue: str) -> Object:
        return self.call("pause", {"queue": queue})

    def resume(self, queue: str) -> Object:
        return self.call("resume", {"queue": queue})

    def pools(self, pool: str | None = None) -> Objects:
        return self.call("pools", _given(pool=pool))["pools"]

    def workers(self, pool: str | None = None) -> Objects:
        return self.call("workers", _given(pool=pool))["workers"]

    def restart(self, pool: str) -> Object:
        """Returns when every worker has been replaced, however long that takes."""
        return self._answer(self._write("restart", {"pool": pool}, None), None)

    def reload(self) -> Object:
        """Returns when the daemon is as its configuration says now, however long that takes."""
        return self._answer(self._write("reload", {}, None), None)

    def resize(self, pool: str, size: int | None = None, *, min: int | None = None, max: int | None = None) -> Object:
        """`size`, or `min` and `max`."""
        return self.call("resize", _given(pool=pool, size=size, min=min, max=max))

    def status(self) -> Object:
        return self.call("status")

    def drain(self) -> Object:
        """Returns when nothing runs any more, however long that takes."""
        return self._answer(self._write("drain", {}, None), None)

    def backup(self) -> Iterator[tuple[str, Object]]:
        """The store as it is at some moment during this: ("begun", …), ("copying", how far the daemon is), ("chunk",
        its next bytes as base64 in `data`, behind the first `at`), and at last ("complete", …). What cannot be finished
        raises CallFailed. For a connection that does nothing else."""
        begun = self.call("backup")
        return self._backup(begun)

    def batch_submit(
        self, queue: str, lines: BinaryIO | Iterable[bytes] | bytes | None = None, **options: Any
    ) -> Object:
        """A batch of `lines`: a file that was opened in binary, or bytes, in one piece or any; they are sent as they
        come. Or of a file that the daemon opens with your rights: `path`, absolute. Options: name, priority,
        timeout_secs, max_attempts, tags, client + key. After a lost connection lines that can be read again (bytes, a
        list, a file that can be sought in) are sent again, where that cannot make two batches of them."""
        if lines is None:
            return self._ask("batch_submit", {"queue": queue, **options}, None, None)
        until, start = None, _start(lines)
        while True:
            try:
                return self._upload({"queue": queue, **options}, lines)
            except Disconnected as lost:
                if start is None or not (lost.unheard or options.get("key") is not None):
                    raise
                until = self._again(until, lost)
                if start >= 0:
                    lines.seek(start)  # type: ignore[union-attr]  # a file

    def batch_get(self, id: str) -> Object:
        return self.call("batch_get", {"id": id})

    def batch_list(self, **filters: Any) -> Object:
        """Newest first. Filters: queue, state (one or many); and limit, cursor."""
        return self.call("batch_list", filters)

    def batch_cancel(self, id: str) -> Object:
        """Returns when nothing of it runs any more, however long that takes."""
        return self._answer(self._write("batch_cancel", {"id": id}, None), None)

    def batch_output(
        self, id: str, file: str = "output", from_line: int = 1, *, follow: bool = False
    ) -> Generator[tuple[int, Any], None, Object]:
        """What is in a file of a batch, "output" or "errors": each line's number there, and the record. With `follow`
        those to come, too, until the batch is final. The generator's value is what was told at the end: `lines`, and
        the batch's `state`. For a connection that does nothing else; after a lost one it goes on where it was."""
        until = None
        while True:
            try:
                params = {"id": id, "file": file, "from_line": from_line, "follow": follow}
                self.call("batch_output", params)
                for n, record in self._records():
                    if n is None:
                        return record
                    yield n, record
                    from_line, until = n + 1, None
            except Disconnected as lost:
                until = self._again(until, lost)

    def batch_delete(self, id: str) -> Object:
        return self.call("batch_delete", {"id": id})

    def batch_gc(self, older_than_secs: float, **filters: Any) -> Object:
        """Delete final batches that are so old. Filters: queue, state (one or many); dry_run=True only tells which."""
        return self._answer(self._write("batch_gc", {"older_than_secs": older_than_secs, **filters}, None), None)

    # What they are made of.

    def call(
        self,
        method: str,
        params: Object | str | None = None,
        timeout: float | None = None,
        *,
        again: bool | None = None,
    ) -> Any:
        """Ask, and return the result. Params given as a str are JSON text already, on one line; it is sent as it is.
        `again`: whether it may be heard twice, where this client cannot know."""
        return self._ask(method, params, _deadline(self.timeout if timeout is None else timeout), again)

    def send(self, method: str, params: Object | str | None = None) -> int:
        """`call` without waiting for the answer; returns the request's number. Answers that come are kept meanwhile."""
        request = self._write(method, params, _deadline(self.timeout))
        self._awaited.add(request)
        return request

    def receive(self, timeout: float | None = None) -> tuple[int, Any]:
        """The next answer to what was sent, in the order of arrival: (number, result). A refusal raises CallFailed,
        whose `request` is the number."""
        if not self._awaited:
            raise ClientError("nothing was sent that is not received yet")
        deadline = _deadline(self.timeout if timeout is None else timeout)
        answer = self._early.popleft() if self._early else self._next(deadline)
        while answer["id"] not in self._awaited:  # late: its call gave up
            answer = self._next(deadline)
        self._awaited.discard(answer["id"])
        return answer["id"], _result(answer)

    def decode(self, text: str) -> Any:
        """An answer's JSON as Python values. Numbers are what json.loads makes of them: ints, and the nearest floats,
        beyond 1.8e308 infinite. An int of more digits than Python converts (sys.get_int_max_str_digits) is an exact
        decimal.Decimal instead. To have it otherwise, override this with hooks of your own; an answer's `id` must stay
        an int. ValueError and RecursionError say that the text is no JSON."""
        return _decoder.decode(text)

    def _wait(self, params: Object, timeout_secs: float | None) -> Any:
        if timeout_secs is None:
            return self._ask("wait", params, None, None)
        grace = 10.0 if self.timeout is None else self.timeout
        return self.call("wait", {**params, "timeout_secs": timeout_secs}, timeout_secs + grace)

    def _ask(self, method: str, params: Object | str | None, deadline: float | None, again: bool | None) -> Any:
        until = None
        while True:
            try:
                return self._answer(self._write(method, params, deadline), deadline)
            except Disconnected as lost:
                if until is None:
                    until = min(monotonic() + self.patience, _NEVER if deadline is None else deadline)
                else:
                    sleep(_PAUSE)
                repeatable = _may_repeat(method, params) if again is None else again
                if self._awaited or not (lost.unheard or repeatable) or monotonic() >= until:
                    raise
                self._return(until, lost)

    def _return(self, until: float, lost: Disconnected) -> None:
        self._socket.close()
        try:
            self._begin(until)
        except NoDaemon:
            raise lost from None  # which says more: that it was there, and what that means for the call

    def _upload(self, params: Object, lines: Any) -> Object:
        # The first part is empty, so that a refusal comes before anything is read: it may be from a pipe.
        try:
            batch = self.call("batch_submit", {**params, "lines": "", "more": True}, again=True)
            if "created" in batch:  # an earlier one
                return batch
            part = {"batch": batch["id"]}
            try:
                for data in _pieces(lines):
                    self._once("batch_submit", {**part, "base64": data, "more": True}, self.timeout)
            except ClientError:
                raise
            except Exception:  # of the lines: what is there already would wait for the rest
                self._once("batch_delete", {"id": batch["id"]}, self.timeout)
                raise
        except Disconnected as lost:
            lost.unheard = True  # what has not its last part is dropped with its connection
            raise
        return self._once("batch_submit", {**part, "lines": ""}, None)

    def _once(self, method: str, params: Object, timeout: float | None) -> Any:
        deadline = _deadline(timeout)
        return self._answer(self._write(method, params, deadline), deadline)

    def _again(self, until: float | None, lost: Disconnected) -> float:
        """A new connection, for as long as patience lasts."""
        if until is None:
            until = monotonic() + self.patience
        else:
            sleep(_PAUSE)
        if self._awaited or monotonic() >= until:
            raise lost
        self._return(until, lost)
        return until

    def _records(self) -> Iterator[tuple[int | None, Any]]:
        """To the end, which has no number. A record that is too large for one line comes in parts."""
        parts = []
        for what, one in self._notifications({}):
            if what == "batch_line":
                yield one["n"], one["record"]
            elif what == "batch_part":
                parts.append(a2b_base64(one["base64"]))
                if not one["more"]:
                    yield one["n"], self.decode(b"".join(parts).decode())
                    parts.clear()
            elif what == "batch_end":
                yield None, one
            elif what == "batch_failed":
                raise CallFailed({"message": one["message"], "data": one}, None)

    def _notifications(self, place: Object) -> Iterator[tuple[str, Object]]:
        yield "place", place
        while True:
            message = self._message(self._line(None))
            if "method" in message:
                yield message["method"], message["params"]

    def _backup(self, begun: Object) -> Iterator[tuple[str, Object]]:
        for what, one in self._notifications(begun):
            if what == "failed":
                raise CallFailed({"message": one["message"], "data": one}, None)
            yield ("begun" if what == "place" else what), one
            if what == "complete":
                return

    def _answer(self, request: int, deadline: float | None) -> Any:
        while (answer := self._next(deadline))["id"] != request:
            if answer["id"] in self._awaited:
                self._early.append(answer)
        return _result(answer)

    def _write(self, method: str, params: Object | str | None, deadline: float | None) -> int:
        self._last_id += 1
        if self._ended:
            self._unheard = self._last_id
            raise self._lost("the daemon closed the connection")
        text = params if isinstance(params, str) else _encode(params or {})
        request = f'{{"jsonrpc":"2.0","id":{self._last_id},"method":{_encode(method)},"params":{text}}}\n'
        self._unsent += request.encode()
        while self._unsent and not self._ended:
            try:
                del self._unsent[: self._socket.send(self._unsent)]
            except BlockingIOError:
                # The daemon may be waiting for us to read: it takes only so many unanswered requests.
                self._ready(select.POLLIN | select.POLLOUT, deadline)
                self._fill()
            except ConnectionError:
                break  # what it said before it left is still to be read
        if self._unsent:  # without its end it is no request
            self._unheard = self._last_id
            self._unsent.clear()
        return self._last_id

    def _next(self, deadline: float | None) -> Object:
        """The next answer, whoever asked."""
        while True:
            message = self._message(self._line(deadline))
            if message.get("id") is not None:
                return message
            if "method" not in message:  # a notification is for nobody here; this is a line of ours it could not read
                raise CallFailed(message.get("error"), None)

    def _message(self, line: bytes) -> Object:
        try:
            message = self.decode(line.decode())
        except (ValueError, RecursionError) as error:
            raise ClientError(f"the daemon's answer cannot be read as JSON: {error}") from None
        if not isinstance(message, dict) or not isinstance(message.get("id"), (int, type(None))):
            raise ClientError("the daemon's answer is not one to a request of this client")
        return message

    def _line(self, deadline: float | None) -> bytes:
        while (end := self._received.find(b"\n", self._scanned)) < 0:
            self._scanned = len(self._received)
            if self._ended:
                raise self._lost("the daemon closed the connection before it answered")
            if not self._fill():
                self._ready(select.POLLIN, deadline)
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        self._scanned = 0
        return line

    def _fill(self) -> bool:
        """Reads what is there, if anything is."""
        try:
            chunk = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return False
        except ConnectionError:
            chunk = b""
        self._received += chunk
        self._ended = not chunk
        return True

    def _lost(self, words: str) -> Disconnected:
        lost = Disconnected(words)
        lost.unheard = self._unheard == self._last_id and not self._awaited
        return lost

    def _ready(self, events: int, deadline: float | None) -> None:
        self._poll.modify(self._socket, events)
        left = None if deadline is None else max(0.0, deadline - monotonic()) * 1000
        if not self._poll.poll(left):
            raise ClientTimeout("the daemon did not answer in time")


def _connect(paths: list[str], timeout: float | None, until: float) -> socket.socket:
    """To the first that answers; where that is none yet, look again until then."""
    while True:
        tried = []
        absent = False
        for path in paths:
            try:
                return _connected(path, timeout)
            except OSError as error:
                absent = absent or isinstance(error, (FileNotFoundError, ConnectionRefusedError))
                tried.append(f"{path} ({error.strerror or error})")
        if not absent or monotonic() >= until:
            raise NoDaemon(
                f"no daemon answers at {' or '.join(tried)}: start one with `stoker serve`, or say where it listens"
            )
        sleep(_PAUSE)


def _connected(path: str, timeout: float | None) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if timeout is not None:  # while the backlog is full, connect() waits for as long as a send may take
            micros = max(1, int(timeout * 1e6))
            limit = struct.pack("ll", micros // 1_000_000, micros % 1_000_000)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        connection.connect(path)
        connection.setblocking(False)
    except BlockingIOError:
        connection.close()
        raise ClientTimeout(f"the daemon at {path} took no connection in time") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _may_repeat(method: str, params: Object | str | None) -> bool:
    if isinstance(params, str) or method not in ("submit", "submit_many", "batch_submit"):
        return method in _READS
    given = params or {}
    jobs = [given] if method in ("submit", "batch_submit") else given.get("jobs", ())
    return all(job.get("key") is not None for job in jobs)


def _start(lines: Any) -> int | None:
    """Where a file begins that can be read again; -1: it is no file; None: it is gone once it was read."""
    if hasattr(lines, "read"):
        return lines.tell() if lines.seekable() else None
    return -1 if iter(lines) is not lines else None


def _pieces(lines: Any) -> Iterator[str]:
    """As base64, none longer than _CHUNK before."""
    if isinstance(lines, (bytes, bytearray, memoryview)):
        source = iter([lines])
    elif hasattr(lines, "read"):
        read = getattr(lines, "read1", lines.read)  # what a pipe has, instead of waiting for more
        source = iter(lambda: read(_CHUNK), b"")
    else:
        source = iter(lines)
    held = bytearray()
    for piece in source:
        held += piece
        while len(held) >= _CHUNK:
            yield b2a_base64(held[:_CHUNK], newline=False).decode()
            del held[:_CHUNK]
    if held:
        yield b2a_base64(held, newline=False).decode()


def _integer(text: str) -> Any:
    try:
        return int(text)
    except ValueError:  # too long
        from decimal import Decimal  # hardly ever needed, and slow to import

        return Decimal(text)


_decoder = json.JSONDecoder(parse_int=_integer)


def _result(answer: Object) -> Any:
    if "result" in answer:
        return answer["result"]
    raise CallFailed(answer.get("error"), answer["id"])


def _given(**members: Any) -> Object:
    return {name: value for name, value in members.items() if value is not None}


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else monotonic() + timeout
