"""Which configuration file a command of the daemon's own side means, and its content."""

import os
from pathlib import Path

from supervisor.cli.connection import LOCAL_CONFIG
from supervisor.cli.failures import Misuse, unusable
from supervisor.cli.options import places
from supervisor.config import stop_time
from supervisor.config.load import load
from supervisor.config.model import Config
from supervisor.errors import StartError

SYSTEM_CONFIG = Path("/etc/stoker/stoker.toml")


def find() -> Path:
    """What -c says, else ./stoker.toml, else the system's; raises Misuse where there is none."""
    said = places().config
    if said is not None:
        return Path(said)
    for file in (Path(LOCAL_CONFIG), SYSTEM_CONFIG):
        if file.exists():
            return file
    raise Misuse(
        f"no configuration: there is neither ./{LOCAL_CONFIG} nor {SYSTEM_CONFIG}; "
        "write one with `stoker init`, or name it with -c FILE"
    )


def read(file: Path, *, serving: bool = False) -> Config:
    """The checked configuration; raises Misuse with every problem, a line each. Where a unit says how long systemd
    waits for a stop, that is checked too. `serving`: for a daemon that is to be this process."""
    try:
        config = load(file, environ=os.environ, is_root=os.geteuid() == 0, serving=serving, lenient=serving)
        stop_time.check(config, stop_time.take(dict(os.environ)))
        return config
    except StartError as error:
        raise unusable(error.message) from None
