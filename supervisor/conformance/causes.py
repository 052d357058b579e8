"""What was wanted where a worker does wrong, the usual cause, and the remedy in its language where that is known."""

from typing import NamedTuple

from supervisor.conformance.languages import Language, Topic

STDIO = ("stdin", "stdout")


class Cause(NamedTuple):
    """`topic`: what the language has a word on."""

    text: str
    topic: Topic | None = None


LIMITED = Cause("the line is read into a buffer of fixed size, and the rest taken for another request", "lines")
A_READ = Cause("what one read gives is taken for a whole line: a line ends at its line feed", "lines")
NO_START = Cause("it does not come up, or thinks that it is done: the end of its stderr may say why")
STRICT = Cause("the request is decoded into a type that allows no other members: ignore those")

# By kind of fault, or, where a trial knows more, by trial and kind.
_CAUSES = {
    "buffered": Cause("stdout is block-buffered: flush after each line", "flush"),
    "timeout": Cause(
        "it waits for more input than one line, or for something else that does not come; this reply was not flushed; "
        "or the job takes longer: raise --timeout"
    ),
    "silent": Cause(
        "it never replies to a payload like this, not even with an error; it writes to something else than stdout; or "
        "it drops what it has in hand when stdin ends, and the job takes longer: raise --timeout",
    ),
    "half_line": Cause(
        "the reply is not ended by a line feed, or is written in parts of which the last is still in a buffer",
        "flush",
    ),
    "unread": Cause(
        "it does not read its stdin: it works on something else, has stopped after its first job, or reads with a "
        "limit to the length of a line",
        "lines",
    ),
    "garbage": Cause(
        "a stray print, usually a library's: point stdout to stderr at start and keep the real one for replies; or "
        'let the pool say channel = "fd", where a stray print does no harm',
        "stray",
    ),
    "several_lines": Cause(
        "the reply stands on several lines: print it without indentation, on one line; a line feed inside a text is \\n"
    ),
    "request_echoed": Cause(
        'it echoed the request: the reply needs a status, such as {"id":…,"status":"ok","result":…}'
    ),
    "no_id": Cause("some path through the program replies without the id: an error's, often; echo it in every reply"),
    "ready_late": Cause('{"status":"ready"} belongs in front of the loop, not into it'),
    "desync": Cause("the id is taken from somewhere else than this request: echo it as it came"),
    "extra": Cause(
        "it answers twice, says something when it starts or between jobs, or prints to stdout on the side: only a "
        "request is answered, with one final line",
        "stray",
    ),
    "oversize": Cause("write a large result to a file or an object store, and answer with its name"),
    "exited": Cause("an error that nothing catches: catch it and reply error; the end of its stderr says which"),
    "closed": Cause("something closes stdout, or points it elsewhere, while replies are still to be written", "stray"),
    "deaf": Cause("something closes stdin; keep it open for as long as you want jobs"),
    "not_ready": Cause(
        'nothing printed {"status":"ready"}, it was not flushed, or the boot takes longer: raise --boot-timeout',
        "flush",
    ),
    "eof_ignored": Cause(
        "the loop goes on when reading says that the input is over, or something else keeps the process alive: a "
        "thread, a timer, a socket",
        "eof",
    ),
    "eof_lost": Cause(
        "it exits the moment stdin ends, with the job still in hand: finish what was read, then exit",
        "eof",
    ),
    "exit_code": Cause("the end of stdin is treated as an error; it is how a worker is told to go", "eof"),
    "slow_exit": Cause("cleaning up takes too long, or something waits with a timeout", "eof"),
    "term_ignored": Cause(
        "a handler for SIGTERM that does not end the process, or only sets a flag that nothing looks at; without a "
        "handler SIGTERM ends it by itself",
    ),
    "left_behind": Cause(
        "it starts processes and leaves without waiting for them; stoker kills what is left, in the middle of "
        "whatever that does; what has left its session and environment, only where workers have a cgroup",
    ),
    "memory": Cause(
        "something is kept from each job: a cache without a bound, a list that is only appended to, a handler that is "
        "registered each time; until it is found, max_jobs or max_rss in the pool bounds it",
        "memory",
    ),
    "descriptors": Cause("files, sockets or pipes are opened for each job and not closed"),
    "zombies": Cause("it starts a process for each job and does not wait for it"),
    "refused": Cause("the payload is not what the worker expects; its message should say what is"),
    "spawn": Cause("it could be started a moment ago: something changes or removes its file"),
    # what the trial knows
    "start/timeout": Cause(
        "it never replies to a payload like this, not even with an error; or it takes longer: raise --timeout, or "
        "--boot-timeout"
    ),
    "boot/exited": Cause("it does not start again: a lock, a port or a file is left of the one before"),
    "types/exited": Cause("a payload of another shape than it expects, and an error that nothing catches: reply error"),
    "ids/desync": Cause(
        "the id is parsed, taken for a number or made anew: it is text, and goes back as it came", "ids"
    ),
    "unicode/desync": Cause("the id is looked for all over the line, and found in the payload: it comes first"),
    "unicode/garbage": Cause("text is decoded or encoded with something else than UTF-8, or escapes are lost", "text"),
    "unicode/exited": Cause(
        "text is decoded with something else than UTF-8, or a character is taken for a line's end",
        "lines",
    ),
    "unicode/extra": Cause("one request was taken for two: something breaks lines at more than a line feed", "lines"),
    "numbers/garbage": Cause("a number became Infinity or NaN, which JSON does not have", "numbers"),
    "numbers/exited": Cause("a number too large for the parser, whose error nothing catches: reply error", "numbers"),
    "deep/exited": Cause(
        "the parser has a limit to nesting, and nothing catches its error: reply error, with the id, which is the "
        "line's first member; or raise the limit",
        "depth",
    ),
    "deep/refused": Cause("the parser has a limit to nesting", "depth"),
    "deep/garbage": Cause("the parser has a limit to nesting, and its error went to stdout", "depth"),
    "large/timeout": Cause(
        "the line is read into a buffer of fixed size, or the time goes up with its square", "lines"
    ),
    "large/exited": LIMITED,
    "large/extra": LIMITED,
    "large/desync": LIMITED,
    "pieces/exited": A_READ,
    "pieces/garbage": Cause("what one read gives is taken for a line, or its bytes for whole characters", "lines"),
    "pieces/timeout": A_READ,
    "pieces/extra": A_READ,
    "members/exited": STRICT,
    "members/desync": Cause(
        "the id is searched for in the line: it is the first member",
    ),
    "members/refused": STRICT,
    "many/timeout": Cause(
        "a request that came at once was thrown away: with what was left in a buffer, or by a child process that "
        "inherited stdin (give it /dev/null)",
    ),
    "many/exited": Cause(
        "something runs out: descriptors, memory, a limit of its own; to go on purpose, reply recycle",
    ),
    "plain/exited": Cause(
        "an error that nothing catches; or it ends after one job, where it should read the next line until stdin ends",
        "eof",
    ),
    "start/exited": NO_START,
    "handshake/exited": NO_START,
}


# Where the fault is a general one, so is what was wanted; a trial that knows its cause knows that better, too, unless
# it tries nothing in particular.
GENERAL = frozenset({"start", "plain", "speed", "boot"})
_REPLIES = "stdout has replies and nothing else: one JSON object a line, with a status"
_WANTS = {
    **dict.fromkeys(("garbage", "several_lines", "request_echoed"), _REPLIES),
    "extra": "a worker says nothing until it is asked, and then one final reply",
    "desync": "a reply has the id of its request",
    "no_id": "a worker that has sent an id once goes on, and one whose pool says require_id = true begins with it",
    "ready_late": "only the first line of all can be ready",
    "oversize": "a reply is a line of at most max_line (16 MiB)",
    "exited": "a worker takes one job after the other until its stdin ends, and replies to each",
    "closed": "a worker keeps its stdout open for as long as it lives",
    "deaf": "a worker keeps its stdin open for as long as it wants jobs",
    "unread": "a worker reads its request when it comes, and all of it",
    "half_line": "a reply is one line, ended by a line feed",
    "timeout": "each request gets exactly one final reply, within its timeout",
}


# In a pool with channel = "fd", where these are other things than over stdin and stdout.
NOT_BY_FD = Cause("requests come on file descriptor 3 and replies go to 4, while the usual two are empty and a log")
_BY_FD = {
    "garbage": Cause("something else than replies is written to file descriptor 4: it is for nothing else"),
    **{f"start/{kind}": NOT_BY_FD for kind in ("exited", "unread", "silent", "timeout", "deaf", "closed")},
}


def wanted(trial: str, kind: str, wants: str, pipes: tuple[str, str] = STDIO) -> str:
    """What the protocol asks for; `wants` is what it asks in this trial."""
    own = trial not in GENERAL and f"{trial}/{kind}" in _CAUSES
    return _by(pipes, wants if own else _WANTS.get(kind, wants))


def usual_cause(trial: str, kind: str, language: Language | None, pipes: tuple[str, str] = STDIO) -> str | None:
    """In a sentence, without a full stop; None where there is no usual one. `pipes`: what the program reads and
    writes."""
    tables = (_CAUSES,) if pipes == STDIO else (_BY_FD, _CAUSES)
    keys = (f"{trial}/{kind}", kind)
    found = next((table[key] for table in tables for key in keys if key in table), None)
    if found is None:
        return None
    cause = _by(pipes, found.text)
    if language is None or found.topic is None or found.topic not in language.fixes:
        return cause
    return f"{cause}; in {language.name}: {language.fixes[found.topic]}"


def _by(pipes: tuple[str, str], text: str) -> str:
    """In terms of the pipes that there are."""
    return text if pipes == STDIO else text.replace("stdin", pipes[0]).replace("stdout", pipes[1])
