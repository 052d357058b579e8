"""One run, from its settings to how it ended."""

import os
import resource
from contextlib import closing

import trio

from supervisor.errors import StokerError
from supervisor.mapping.ending import Ending
from supervisor.mapping.ends import Ends, open_ends
from supervisor.mapping.engine import Engine
from supervisor.mapping.settings import Settings
from supervisor.mapping.telling import telling
from supervisor.pool.program import NoProgram, look_for

DESCRIPTORS = 65536


def run(settings: Settings) -> Ending:
    """Map the whole input. Call it on the main thread. Raises StokerError for what cannot even begin; nothing was
    started then."""
    _look_for(settings)
    _raise_descriptor_limit()
    ends = open_ends(settings)
    with closing(ends), telling(ends.screen):
        return trio.run(_run, settings, ends)


async def _run(settings: Settings, ends: Ends) -> Ending:
    return await Engine(settings, ends, os.environ).run()


def _raise_descriptor_limit() -> None:
    """As far as the hard limit goes, for many workers; they have the old one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, DESCRIPTORS), hard), hard))


def _look_for(settings: Settings) -> None:
    """A missing program is a mistake on the command line, to be told before anything else happens."""
    program, path = settings.command[0], os.environ.get("PATH")
    try:
        look_for(program, settings.cwd, path, path)
    except StokerError as error:
        quoted = any(map(str.isspace, program)) and len(settings.command) == 1
        advice = "; write its arguments as words of their own, without quotes around them all" if quoted else ""
        raise NoProgram(f"cannot start {program!r}: {error.message}{advice}") from None
