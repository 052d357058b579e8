"""Every row at once, as the job says. Payload: `steps`, what its first run does, its second …; `key`, its name.

A run is what a worker did with a job it had read: not the same as an attempt, since a job may be given out and taken
back unread. Each leaves a line in the file `key` of the folder $CHAOS_RUNS, and so do the grandchildren.
Arguments: how likely it is to boot otherwise, `slow=0.1`, `fails=0.02`, `never=0.01` (says nothing, does nothing).
"""

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from _wire import REPLIES, REQUESTS, asked, hang, line, ok, requests, say

Step = dict[str, Any]
RUNS = os.environ.get("CHAOS_RUNS", ".")
JUNK = b"Traceback (most recent call last)\n"


def me() -> str:
    """Pid and start time: together they name one process."""
    with open("/proc/self/stat") as file:
        return f"{os.getpid()} {file.read().rpartition(')')[2].split()[19]}"


def lives(pid: str, started: str) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] not in "ZX" and fields[19] == started


class Diary:
    """What the runs of one job have written down."""

    def __init__(self, key: str) -> None:
        self.path = os.path.join(RUNS, key)
        self.fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        rows = [row.split() for row in os.read(self.fd, 65536).decode().splitlines()]
        self.runs = sum(row[0] == "run" for row in rows)
        over = {tuple(row[1:]) for row in rows if row[0] == "end"}
        for kind, *who in rows:
            if kind in ("run", "child") and (kind == "child" or tuple(who) not in over) and lives(*who):
                self.write(f"overlap {kind} {' '.join(who)}")

    def write(self, row: str) -> None:
        os.write(self.fd, f"{row}\n".encode())


# -- what a run may do: each of these answers, or never returns ----------------------------------------------------


def reply(request: Step, step: Step, **members: Any) -> bytes:
    """The run is over with this, and written down as such before anybody can act on it."""
    step["diary"].write(f"end {me()}")
    return line(id=request["id"], **members)


def result(request: Step, step: Step) -> Step:
    return {"key": request["payload"]["key"], "run": step["run"]}


def done(request: Step, step: Step, **members: Any) -> None:
    say(reply(request, step, status="ok", result=result(request, step), **members))


def slow(request: Step, step: Step) -> None:
    time.sleep(step["secs"])
    done(request, step)


def progress(request: Step, step: Step) -> None:
    for number in range(step["lines"]):
        say(line(id=request["id"], status="progress", progress=number, message="on its way"))
    done(request, step)


def error(request: Step, step: Step) -> None:
    say(reply(request, step, status="error", message=step["message"], retry=step["retry"]))


def throttle(request: Step, step: Step) -> None:
    say(reply(request, step, status="throttled", retry_after_secs=step["secs"]))


def flood(request: Step, step: Step) -> None:
    row = b"#" * (step["width"] - 1) + b"\n"
    left = row * (step["bytes"] // len(row))
    while left:
        left = left[os.write(2, left[:65536]) :]
    done(request, step)


def stray(request: Step, step: Step) -> None:
    os.write(1, JUNK)
    done(request, step)


leaked: list[bytes] = []


def leak(request: Step, step: Step) -> None:
    leaked.append(b"x" * step["bytes"])
    done(request, step)


def gobble(request: Step, step: Step) -> None:
    """Slowly enough for somebody to look; then it waits to be killed."""
    for _ in range(step["times"]):
        leaked.append(b"x" * step["bytes"])
        time.sleep(0.01)
    hang()


def second(request: Step, step: Step) -> None:
    """Two replies in one write."""
    say(2 * reply(request, step, status="ok", result=result(request, step)))
    hang()


late = b""


def twice(request: Step, step: Step) -> None:
    """The second reply comes when the next request is there, and instead of its answer."""
    global late
    done(request, step)
    late = line(id=request["id"], status="ok", result="late")


def chatter(request: Step, step: Step) -> None:
    done(request, step)
    time.sleep(step["secs"])
    say(JUNK)
    hang()


def deaf(request: Step, step: Step) -> None:
    """Answers, and will never be told anything again."""
    os.close(REQUESTS)
    done(request, step)
    hang()


def leave(request: Step, step: Step) -> None:
    done(request, step)
    os._exit(0)


def recycle(request: Step, step: Step) -> None:
    done(request, step, recycle=True)


def last_words(request: Step) -> None:
    os.write(2, f"last words of {request['payload']['key']}\n".encode())


def leave_early(request: Step, step: Step) -> None:
    last_words(request)
    os._exit(step["code"])


def crash(request: Step, step: Step) -> None:
    last_words(request)
    number = signal.Signals[step["signal"]]
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    hang()


def close(request: Step, step: Step) -> None:
    for fd in (REQUESTS, REPLIES, 2) if step["all"] else (REPLIES,):
        os.close(fd)
    hang()


def desync(request: Step, step: Step) -> None:
    say(line(id="00000000-0000-7000-8000-000000000000", status="ok", result=None))
    hang()


def no_id(request: Step, step: Step) -> None:
    say(line(status="ok", result=None))
    hang()


def garbage(request: Step, step: Step) -> None:
    say(JUNK)
    hang()


def oversize(request: Step, step: Step) -> None:
    say(line(id=request["id"], status="ok", result="x" * step["bytes"]))
    hang()


def half(request: Step, step: Step) -> None:
    say(line(id=request["id"], status="ok", result="half")[:-1])
    hang()


def hang_on(request: Step, step: Step) -> None:
    if step["deaf"]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hang()


def grandchild(diary: str, secs: int, *to_close: int) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.alarm(secs)
    fd = os.open(diary, os.O_WRONLY | os.O_APPEND)
    os.write(fd, f"child {me()}\n".encode())
    os.close(fd)
    for fd in to_close:
        os.close(fd)
    while True:
        signal.pause()


def fork(request: Step, step: Step) -> None:
    """Leaves a grandchild, then does as `then` says. `hidden`: without session, parent and environment of ours. It
    closes REQUESTS, or `deaf` could not; that it has is known by the end of the other pipe, which it closes last."""
    is_born, born = os.pipe()
    os.set_inheritable(born, True)
    if os.fork() == 0:
        if step["session"] or step["hidden"]:
            os.setsid()
        if step["hidden"] and os.fork():
            os._exit(0)
        if step["hidden"]:
            told = ["grandchild", step["diary"].path, *map(str, (step["secs"], REQUESTS, born))]
            os.execve(sys.executable, [sys.executable, "-S", "-E", __file__, *told], {})
        grandchild(step["diary"].path, step["secs"], REQUESTS, born)
    os.close(born)
    os.read(is_born, 1)
    os.close(is_born)
    then = {**step, **step["then"]}
    DOES[then["do"]](request, then)


DOES: dict[str, Callable[[Step, Step], None]] = {
    does.__name__: does
    for does in (
        *(
            done,
            slow,
            progress,
            error,
            throttle,
            flood,
            stray,
            leak,
            gobble,
            second,
            twice,
            chatter,
            deaf,
            leave,
            recycle,
        ),
        *(leave_early, crash, close, desync, no_id, garbage, oversize, half, hang_on, fork),
    )
}


def boot() -> None:
    chances = {name: float(chance) for name, chance in (argument.split("=") for argument in sys.argv[1:])}
    if random.random() < chances.get("slow", 0):
        time.sleep(random.uniform(0.1, 0.5))
    if random.random() < chances.get("fails", 0):
        os.write(2, b"ImportError: no module named chance\n")
        os._exit(1)
    if random.random() < chances.get("never", 0):
        hang()


def main() -> None:
    if sys.argv[1:2] == ["grandchild"]:
        grandchild(sys.argv[2], *map(int, sys.argv[3:]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the grandchildren
    boot()
    for request in requests():
        if late:
            say(late)
            hang()
        if "steps" not in asked(request):
            ok(request)
            continue
        payload = request["payload"]
        diary = Diary(payload["key"])
        step = payload["steps"][min(diary.runs, len(payload["steps"]) - 1)]
        diary.write(f"run {me()}")
        DOES[step["do"]](request, {**step, "run": diary.runs, "diary": diary})
        os.close(diary.fd)


main()
