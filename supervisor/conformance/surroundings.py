"""The environment that the program is tried in: the caller's, without what would hide a fault from the caller alone."""

import re
from collections.abc import Mapping
from typing import NamedTuple

# Each makes some programs flush after every write. A terminal or a container image often has one, a daemon seldom.
_UNBUFFERS = re.compile(r"PYTHONUNBUFFERED|_STDBUF_[IOE]|GFORTRAN_UNBUFFERED_(ALL|PRECONNECTED)")
_STDBUF = "libstdbuf"  # stdbuf(1) has it in LD_PRELOAD


class Surroundings(NamedTuple):
    """`left_out`: the names of the variables that were set and are not passed on, sorted."""

    environ: Mapping[str, str]
    left_out: tuple[str, ...]


def surroundings(inherited: Mapping[str, str]) -> Surroundings:
    """What the program gets of `inherited`, the tester's own environment."""
    left_out = {name for name, value in inherited.items() if value and _UNBUFFERS.fullmatch(name)}
    environ = {name: value for name, value in inherited.items() if not _UNBUFFERS.fullmatch(name)}
    libraries = re.split("[ :]+", environ.get("LD_PRELOAD", ""))
    others = [name for name in libraries if _STDBUF not in name]
    if others != libraries:
        environ["LD_PRELOAD"] = ":".join(others)
    return Surroundings(environ, tuple(sorted(left_out)))
