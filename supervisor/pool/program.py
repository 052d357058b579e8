"""Whether a worker's program can be there at all. What is started first is a shell, so without this a missing one would
only be known by exit code 127."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from supervisor.errors import StokerError

_LINE_MOST = 256  # bytes that the kernel looks at for the interpreter's name


class NoProgram(StokerError):
    """It is not there, or what it needs to run is not."""

    code = "no_program"


class Search(NamedTuple):
    """Where the child looks: its folder, its PATH, and how that may be told."""

    cwd: Path
    path: str
    shown: str

    def find(self, name: str) -> str | None:
        """The child searches after changing to its folder, so relative entries count from there."""
        return shutil.which(name, path=os.pathsep.join(str(self.cwd / entry) for entry in self.path.split(os.pathsep)))


def look_for(program: str, cwd: Path, path: str | None, inherited: str | None) -> None:
    """`path` is the PATH that the worker gets, `inherited` the daemon's. Raises NoProgram. Values from `env` and an
    env_file are never told."""
    searched = os.defpath if path is None else path
    search = Search(cwd, searched, f"({searched if path == inherited else 'of env or env_file'})")
    if "/" in program:
        found = cwd / program
        if not os.access(found, os.X_OK) or os.path.isdir(found):
            raise NoProgram(_why_not(program, cwd))
        _check_interpreter(found, search)
        return
    known = search.find(program)
    if known is None:
        raise NoProgram(f"it is not in PATH {search.shown}")
    _check_interpreter(Path(known), search)


def _why_not(program: str, cwd: Path) -> str:
    if os.path.exists(cwd / program):
        return "it is not an executable file"
    return "there is no such file" + ("" if os.path.isabs(program) else f" in {cwd}")


def _check_interpreter(script: Path, search: Search) -> None:
    """Only what is certain is said: the kernel, and env(1), are the judges of the rest."""
    interpreter, argument = _first_line(script)
    name, foreign = _without_return(interpreter)
    if name and _is_missing(search.cwd / interpreter):
        raise NoProgram(f"its interpreter {name} does not exist{foreign}")
    name, foreign = _without_return(argument)
    if os.path.basename(interpreter) == "env" and _is_name(name) and search.find(argument) is None:
        raise NoProgram(f"its interpreter {name} is not in PATH {search.shown}{foreign}")


def _first_line(script: Path) -> tuple[str, str]:
    """The interpreter of `#!` and its one argument, as the kernel takes them apart; empty where there is none, or where
    a person could not read it."""
    try:
        if not script.is_file():  # to open a pipe would wait
            return "", ""
        with open(script, "rb", buffering=0) as file:
            head = file.read(_LINE_MOST)
    except OSError:
        return "", ""
    line, end, _ = head.partition(b"\n")
    if not line.startswith(b"#!") or (not end and len(head) == _LINE_MOST):
        return "", ""
    words = line[2:].decode("utf-8", "replace").strip(" \t")
    if not words.replace("\t", " ").removesuffix("\r").isprintable() or "\ufffd" in words:
        return "", ""
    interpreter, _, argument = words.replace("\t", " ").partition(" ")
    return interpreter, argument.strip(" ")


def _without_return(word: str) -> tuple[str, str]:
    """Ends of line that are none here are part of the name, and invisible in it."""
    return word.removesuffix("\r"), " (its first line ends with CR LF; write it with LF alone)" if "\r" in word else ""


def _is_missing(path: Path) -> bool:
    """Not so where we merely may not look."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _is_name(word: str) -> bool:
    """For env: neither an option, nor a variable, nor a path."""
    return word != "" and not word.startswith("-") and "=" not in word and "/" not in word
