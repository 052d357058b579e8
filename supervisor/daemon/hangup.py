"""What SIGHUP means here. To a daemon it has always meant to read its configuration again; to a program in a terminal,
that the terminal has gone."""

import os
import signal

STOP = (signal.SIGTERM, signal.SIGINT)


def stops_and_reloads() -> tuple[tuple[signal.Signals, ...], tuple[signal.Signals, ...]]:
    """The signals that stop this daemon, and those that let it reload. To be asked before any of them is caught.

    Started in a terminal it stops with that, and a background job of a shell too, which is told of the end in the same
    way. Under nohup, which ignores the signal, nothing happens: whoever closes the terminal is not to be told from
    somebody who means it.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return STOP, ()
    return ((*STOP, signal.SIGHUP), ()) if has_terminal() else (STOP, (signal.SIGHUP,))


def has_terminal() -> bool:
    """Whether this process has a controlling terminal, be its standard streams what they may."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
