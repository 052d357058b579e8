"""All trials, in the order in which one may explain the next."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from supervisor.conformance import trials_boot, trials_figures, trials_jobs, trials_manners
from supervisor.conformance.findings import Outcome
from supervisor.conformance.session import Session


class Trial(NamedTuple):
    """`what`: is tried; `wants`: what the protocol asks; `first`: without it the rest has no point."""

    name: str
    what: str
    wants: str
    run: Callable[[Session], Awaitable[Outcome]]
    first: bool = False


ONE_FINAL = "each request gets any number of progress replies and then exactly one final reply, with its id"

TRIALS = (
    Trial("start", "it starts, and answers a job", ONE_FINAL, trials_boot.start, first=True),
    Trial(
        "flush",
        "no output buffering: the reply comes while stdin stays open",
        "each reply is flushed: a reply in a buffer was never sent",
        trials_boot.flush,
        first=True,
    ),
    Trial(
        "handshake",
        "with --ready: it says that it is ready in time, and nothing before",
        'where the pool says ready = true, the first line is {"status":"ready"}, within boot_timeout',
        trials_boot.handshake,
    ),
    Trial("plain", "20 jobs, or each --payload", ONE_FINAL, trials_jobs.plain),
    Trial(
        "ids",
        "odd ids come back as they were",
        "the id is 36 characters of [0-9a-f-], and the reply has it as it came; who sends it once sends it always",
        trials_jobs.ids,
    ),
    Trial("unicode", "text of all kinds", "payloads are any JSON in UTF-8, and so are replies", trials_jobs.unicode),
    Trial(
        "types",
        "null, empty and nested payloads",
        "the payload is any JSON value: what a worker cannot use it answers with an error",
        trials_jobs.types,
    ),
    Trial(
        "numbers",
        "numbers beyond what a double holds",
        "numbers are passed on as they were written, however long",
        trials_jobs.numbers,
    ),
    Trial(
        "deep",
        "payloads nested 100 and 900 levels deep",
        "nesting of some hundreds of levels is let through: it may be refused, and must not end the worker",
        trials_jobs.deep,
    ),
    Trial(
        "large",
        "a payload of 1 MiB",
        "a request is as long as the queue's max_payload allows (1 MiB), and some hundred bytes more",
        trials_jobs.large,
    ),
    Trial("pieces", "a request in pieces", "a message is one line, ended by a line feed", trials_jobs.pieces),
    Trial(
        "members",
        "a request with members unknown today",
        "members may be added to the request: ignore those you do not know",
        trials_jobs.members,
    ),
    Trial(
        "many",
        "1,000 jobs in a row: the next request is there as soon as the last reply",
        "with its final reply the worker is free, and may receive the next request at once",
        trials_jobs.many,
    ),
    Trial(
        "silence",
        "no stray line before, between and after jobs",
        "stdout has replies and nothing else, and a worker says nothing until it is asked",
        trials_manners.silence,
    ),
    Trial("eof", "it exits when stdin ends", "when stdin ends, the worker exits, with code 0", trials_manners.eof),
    Trial(
        "eof-busy",
        "stdin ends while it has a job",
        "when stdin ends, the worker finishes what it does, and exits",
        trials_manners.eof_busy,
    ),
    Trial(
        "sigterm",
        "SIGTERM ends it, idle and at work",
        "SIGTERM ends the worker within kill_grace; then it gets SIGKILL",
        trials_manners.sigterm,
    ),
    Trial(
        "leftovers",
        "no process is left when it has gone",
        "processes that a worker starts belong to it: when it is gone, so are they",
        trials_manners.leftovers,
    ),
    Trial(
        "memory",
        "memory over 10,000 jobs",
        "a worker lives for as many jobs as there are",
        trials_figures.memory,
    ),
    Trial("speed", "jobs a second, beside a bare pipe", ONE_FINAL, trials_figures.speed),
    Trial("boot", "a cold start to the first answer", "starting is paid for once, not for every job", trials_boot.boot),
)
