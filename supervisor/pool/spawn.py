"""posix_spawn, through ctypes: what subprocess and os have of it keep the interpreter's lock until the new process has
become its program. On a machine that is busy that takes 5 to 20 ms, in which the whole daemon stands still, whichever
thread it happens on. A foreign call gives the lock away, and only the calling thread waits.
"""

import ctypes
import errno
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

_SETSIGDEF, _SETSIGMASK, _SETSID = 0x04, 0x08, 0x80  # of spawn.h, in glibc and musl
_ROOM = 1024  # bytes; the largest of the structures has less than 400

_libc = ctypes.CDLL(None)
_closefrom = getattr(_libc, "posix_spawn_file_actions_addclosefrom_np", None)  # since glibc 2.34


def spawn(argv: Sequence[str], env: Mapping[str, str], *, cwd: Path, stdio: tuple[int, int, int]) -> int:
    """Start argv[0], a path, in a session of its own in `cwd`; its pid. It has the three descriptors `stdio`, which
    are above 2, as 0, 1 and 2, and no others; no signal is blocked, and those that Python ignores are not ignored.

    Raises OSError (cwd and what is the matter with argv cannot be told apart), and ValueError where there is a NUL.
    """
    if _closefrom is None:
        _keep_to_ourselves()
    actions, attributes = ctypes.create_string_buffer(_ROOM), ctypes.create_string_buffer(_ROOM)
    _check(_libc.posix_spawn_file_actions_init(actions))
    try:
        for target, fd in enumerate(stdio):
            _check(_libc.posix_spawn_file_actions_adddup2(actions, fd, target))
        if _closefrom is not None:
            _check(_closefrom(actions, len(stdio)))
        _check(_libc.posix_spawn_file_actions_addchdir_np(actions, _text(os.fspath(cwd))))
        _check(_libc.posix_spawnattr_init(attributes))
        try:
            _check(_libc.posix_spawnattr_setflags(attributes, ctypes.c_short(_SETSIGDEF | _SETSIGMASK | _SETSID)))
            _check(_libc.posix_spawnattr_setsigdefault(attributes, _signals(signal.SIGPIPE, signal.SIGXFSZ)))
            _check(_libc.posix_spawnattr_setsigmask(attributes, _signals()))
            pid = ctypes.c_int()
            words, variables = _array(argv), _array([f"{name}={value}" for name, value in env.items()])
            _check(_libc.posix_spawn(ctypes.byref(pid), words[0], actions, attributes, words, variables))
            return pid.value
        finally:
            _libc.posix_spawnattr_destroy(attributes)
    finally:
        _libc.posix_spawn_file_actions_destroy(actions)


def _check(error: int) -> None:
    if error:
        raise OSError(error, os.strerror(error))


def _text(text: str) -> bytes:
    encoded = os.fsencode(text)
    if b"\0" in encoded:
        raise ValueError("a NUL")
    return encoded


def _array(texts: Sequence[str]) -> "ctypes.Array[ctypes.c_char_p]":
    """With the null pointer at its end."""
    return (ctypes.c_char_p * (len(texts) + 1))(*map(_text, texts), None)


def _signals(*numbers: signal.Signals) -> "ctypes.Array[ctypes.c_char]":
    """A sigset_t."""
    found = ctypes.create_string_buffer(_ROOM)
    _libc.sigemptyset(found)
    for number in numbers:
        _libc.sigaddset(found, int(number))
    return found


def _keep_to_ourselves() -> None:
    """What this process was started with may be open to whatever it starts; what Python opens never is."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2:
                os.set_inheritable(int(name), False)
        except OSError as error:
            if error.errno != errno.EBADF:  # the listing's own
                raise
