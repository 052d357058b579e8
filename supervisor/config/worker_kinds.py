"""The kinds of values that describe a worker's process: its environment, account, limits and CPUs.

No value of `env` and nothing of an `env_file` is ever shown: they hold secrets.
"""

import os
import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from supervisor.config import credentials, kinds, machine, quantities
from supervisor.config.env_file import WRONG_NAME, EnvFileError, is_variable, read_env_file
from supervisor.config.kinds import Kind
from supervisor.config.model import KIB, MIB
from supervisor.config.reading import Reading, join, kind_of

LIMIT_MAX = 2**63 - 1  # what setrlimit(2) takes; a "size" may be written larger
REMEDY = 'where the program needs such a name, begin the command with "env", "NAME=VALUE"'
UNLIMITED = "unlimited"
_UMASK = re.compile(r"0?[0-7]{3}")
_CPUS = re.compile(r"\d{1,4}(?:-\d{1,4})?(?:,\d{1,4}(?:-\d{1,4})?)*", re.ASCII)


class EnvFile(NamedTuple):
    path: Path
    variables: tuple[tuple[str, str], ...]


def environment(reading: Reading, at: str, value: object) -> tuple[tuple[str, str], ...] | None:
    if not isinstance(value, dict):
        reading.problem(at, f'found {kind_of(value)}, expected a table of variables, such as {{LANG = "C.UTF-8"}}')
        return None
    before = len(reading.problems)
    for name, text in value.items():
        if name.startswith("STOKER_"):
            reading.problem(
                _place(at, name), "found a name that begins with STOKER_, expected one that is not stoker's own"
            )
        elif not is_variable(name):
            reading.problem(_place(at, name), f"{WRONG_NAME}; {REMEDY}")
        elif not isinstance(text, str) or "\0" in text:
            found = "a NUL in it" if isinstance(text, str) else kind_of(text)
            reading.problem(join(at, name), f"found {found}, expected text in quotes, without NUL")
    return tuple(value.items()) if len(reading.problems) == before else None


def _place(at: str, name: str) -> str:
    """The key path of a wrong name, without what may be a value: {"TOKEN=secret" = ""}."""
    before, equals, _ = name.partition("=")
    return join(at, before + "=…" if equals else name)


def env_files(reading: Reading, at: str, value: object) -> tuple[EnvFile, ...] | None:
    """One path, or a list of them; each must be readable and well-formed now, and is read again when it counts."""
    items = value if isinstance(value, list) else [value]
    files = [_env_file(reading, f"{at}[{index}]" if items is value else at, item) for index, item in enumerate(items)]
    found = tuple(file for file in files if file is not None)
    return found if len(found) == len(files) else None


def _env_file(reading: Reading, at: str, value: object) -> EnvFile | None:
    if isinstance(value, str) and credentials.is_credential(value):
        return _credential(reading, at, value)
    path = kinds.path(reading, at, value)
    return None if path is None else _read(reading, at, path)


def _credential(reading: Reading, at: str, text: str) -> EnvFile | None:
    if not credentials.is_well_formed(text):
        reading.unfit(at, text, credentials.FORM)
        return None
    if not reading.serving and not credentials.given(reading.environ):
        return EnvFile(Path(text), ())  # out of sight from here, which is no fault of the configuration's
    try:
        path = credentials.find(text, reading.environ)
    except credentials.CredentialError as error:
        reading.problem(at, error.message)
        return None
    return _read(reading, at, path)


def _read(reading: Reading, at: str, path: Path) -> EnvFile | None:
    try:
        return EnvFile(path, read_env_file(path))
    except EnvFileError as error:
        reading.problem(at, error.message)
        return None


def user(reading: Reading, at: str, value: object) -> str | None:
    text = _account(reading, at, value, "user")
    if text is None:
        return None
    found = machine.find_user(text)
    fits = _fits(reading, at, value, "user", None if found is None else found.pw_uid, os.geteuid())
    return text if fits else None


def group(reading: Reading, at: str, value: object) -> str | None:
    text = _account(reading, at, value, "group")
    if text is None:
        return None
    found = machine.find_group(text)
    fits = _fits(reading, at, value, "group", None if found is None else found.gr_gid, os.getegid())
    return text if fits else None


def _account(reading: Reading, at: str, value: object, what: str) -> str | None:
    if kinds.is_text(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= machine.ID_MAX:
        return str(value)
    reading.unfit(at, value, f"the name or the number of a {what}")
    return None


def _fits(reading: Reading, at: str, value: object, what: str, found: int | None, own: int) -> bool:
    if found is None:
        reading.unfit(at, value, f"a {what} that this machine knows")
    elif not reading.is_root and found != own:
        reading.unfit(at, value, f"no other {what} than our own ({own}): only root can start workers as another")
    else:
        return True
    return False


def nice(reading: Reading, at: str, value: object) -> int | None:
    wanted = kinds.integer(-20, 19)(reading, at, value)
    lowest = machine.lowest_nice(reading.is_root)
    if wanted is None or wanted >= lowest:
        return wanted
    reading.unfit(at, value, f"a whole number from {lowest} to 19: less takes root and CAP_SYS_NICE")
    return None


def umask(reading: Reading, at: str, value: object) -> int | None:
    if isinstance(value, str) and _UMASK.fullmatch(value):
        return int(value, 8)
    if isinstance(value, int) and not isinstance(value, bool):
        # Not echoed: TOML's 0o027 has come here as 23.
        reading.problem(at, 'found a number, expected text in quotes, in octal, such as "0027"')
        return None
    reading.unfit(at, value, 'the bits to take away, in octal and as text, such as "0027"')
    return None


def cpu_affinity(reading: Reading, at: str, value: object) -> tuple[frozenset[int], ...] | None:
    if not isinstance(value, list):
        reading.unfit(at, value, 'a list of CPUs for each slot in turn, such as ["0-3", "4-7"]')
        return None
    allowed = machine.cpus()
    entries = [_cpus(reading, f"{at}[{index}]", item, allowed) for index, item in enumerate(value)]
    found = tuple(entry for entry in entries if entry is not None)
    return found if len(found) == len(entries) else None


def _cpus(reading: Reading, at: str, value: object, allowed: frozenset[int]) -> frozenset[int] | None:
    wanted = set()
    if isinstance(value, str) and _CPUS.fullmatch(value):
        for part in value.split(","):
            first, _, last = part.partition("-")
            wanted |= set(range(int(first), int(last or first) + 1)) or {-1}  # "3-0" is none
    if wanted and wanted <= allowed:
        return frozenset(wanted)
    reading.unfit(at, value, f'CPUs as in "0", "0-3" or "0,2", of those this process may use: {_ranges(allowed)}')
    return None


def _ranges(numbers: frozenset[int]) -> str:
    """{0, 1, 2, 5} as "0-2,5"."""
    firsts = sorted(number for number in numbers if number - 1 not in numbers)
    lasts = sorted(number for number in numbers if number + 1 not in numbers)
    pairs = zip(firsts, lasts, strict=True)
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in pairs)


class Measure(NamedTuple):
    """How the amounts of a limit are written."""

    form: str
    parse: Callable[[str], float]
    show: Callable[[int], str]


def _no_text(text: str) -> float:
    raise ValueError(text)


COUNT = Measure("a whole number from 0", _no_text, str)
BYTES = Measure(quantities.SIZE_FORM, quantities.parse_size, quantities.format_size)
SECONDS = Measure('whole seconds, such as "90s" or "2h"', quantities.parse_duration, quantities.format_duration)


# Below these no program of any use comes up, whatever it is, and what it says then helps nobody.
_LEAST = {
    "nofile": (16, "a program needs some for its own files"),
    "stack": (64 * KIB, "a program needs it for its first call"),
    "as": (MIB, "no program can be loaded into less"),
    "data": (MIB, "no program can be loaded with less"),
}


def rlimit(name: str, measure: Measure) -> Kind[int]:
    """The limit RLIMIT_NAME, soft and hard; "unlimited" is resource.RLIM_INFINITY."""
    least, why = _LEAST.get(name, (0, ""))
    number: int = getattr(resource, f"RLIMIT_{name.upper()}")

    def read(reading: Reading, at: str, value: object) -> int | None:
        wanted = resource.RLIM_INFINITY if value == UNLIMITED else _amount(value, measure)
        if wanted is None:
            reading.unfit(at, value, f'{measure.form}, or "{UNLIMITED}"')
            return None
        if wanted != resource.RLIM_INFINITY and wanted < least:
            reading.unfit(at, value, f"at least {measure.show(least)}: {why}")
            return None
        highest = machine.highest_limit(number, reading.is_root)
        if highest is None or (wanted != resource.RLIM_INFINITY and wanted <= highest):
            return wanted
        most = measure.show(highest)
        reading.unfit(at, value, f"at most {most}: the daemon's own hard limit, or the system's, is no higher")
        return None

    return read


def _amount(value: object, measure: Measure) -> int | None:
    amount = None if isinstance(value, float) else kinds.quantity(value, measure.parse)
    fits = amount is not None and 0 <= amount <= LIMIT_MAX and amount == int(amount)
    return int(amount) if fits and amount is not None else None


def cgroup(reading: Reading, at: str, value: object) -> Path | Literal["auto", "off"] | None:
    if value == "auto" or value == "off":
        return value
    if kinds.is_text(value) and value.startswith("/"):
        if os.path.exists(os.path.join(value, "cgroup.controllers")):  # version 1 has no such file
            return Path(value)
        reading.unfit(at, value, "the folder of a cgroup (version 2) made for stoker")
        return None
    reading.unfit(at, value, '"auto", "off", or the absolute path of a cgroup (version 2) made for stoker')
    return None
