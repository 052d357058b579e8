"""A tree that hides: forks twice, and the grandchild has a session of its own, no pipes, and is deaf to SIGTERM.

Payload: `pid_file`, where it writes its pid before all else; `unmarked`: true also clears its environment, so that
nothing but a cgroup knows whose it is. The worker then does as `then` says: "hang" (default), "answer", "exit".
`deaf`: it ignores SIGTERM itself; `close`: the descriptors it closes first.
"""

import os
import signal
import sys

from _wire import asked, hang, ok, requests


def be_the_grandchild(pid_file: str, born: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    unfinished = pid_file + ".new"
    with open(unfinished, "w") as file:
        file.write(str(os.getpid()))
    os.rename(unfinished, pid_file)
    os.closerange(0, 64)  # `born` too: that is the sign
    hang()


def daemonise(pid_file: str, unmarked: bool) -> None:
    """Returns when the grandchild is as hidden as it will be."""
    is_born, born = os.pipe()
    os.set_inheritable(born, True)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            # The environment that /proc shows is the one of the last exec.
            argv = [sys.executable, "-S", "-E", __file__, "--grandchild", pid_file, str(born)]
            os.execve(sys.executable, argv, {} if unmarked else os.environ)
        os._exit(0)
    os.wait()
    os.close(born)
    os.read(is_born, 1)
    os.close(is_born)


if "--grandchild" in sys.argv:
    be_the_grandchild(sys.argv[2], int(sys.argv[3]))
for request in requests():
    wanted = asked(request)
    if "pid_file" not in wanted:
        ok(request)
        continue
    if wanted.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    daemonise(wanted["pid_file"], wanted.get("unmarked", False))
    for fd in wanted.get("close", ()):
        os.close(fd)
    then = wanted.get("then", "hang")
    if then == "hang":
        hang()
    if then == "exit":
        os._exit(0)
    ok(request)
