"""Forks without end, as far as it is let: payload `count` processes that each fork the next and hang, deaf to SIGTERM.

The result: how many there are when no more could be made. With `then`: "hang" there is no answer.
"""

import os
import signal

from _wire import asked, hang, ok, requests


def fork_on(left: int, made: int) -> None:
    """One byte down the pipe for each; the pipe's end is the end of the chain."""
    while left > 0:
        try:
            parent = os.fork()
        except OSError:
            break
        if parent:
            break
        os.write(made, b".")
        left -= 1
    os.close(made)
    hang()


for request in requests():
    wanted = asked(request)
    if "count" not in wanted:
        ok(request)
        continue
    seen, made = os.pipe()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.close(seen)
        os.write(made, b".")
        fork_on(wanted["count"] - 1, made)
    os.close(made)
    count = 0
    while count < wanted["count"] and (chunk := os.read(seen, 65536)):
        count += len(chunk)
    if wanted.get("then") == "hang":
        hang()
    ok(request, count)
