"""The environment a worker is started with, all but what stoker itself says in it."""

import re
from collections.abc import Mapping

from supervisor.config.env_file import read_env_file
from supervisor.config.model import PoolConfig
from supervisor.pool.account import Account
from supervisor.pool.delegation import TOLD

# Where the daemon was started, what it was given, and what its stderr is: wrong for a worker, whose stderr is a pipe.
_LEFT_OUT = frozenset({"PWD", "OLDPWD", "JOURNAL_STREAM", TOLD})
_KEPT = re.compile(r"PATH|LANG|TZ|LC_.*|HOME|USER|LOGNAME|SHELL", re.DOTALL)


def environment(config: PoolConfig, inherited: Mapping[str, str], account: Account | None) -> dict[str, str]:
    """`inherited` is the daemon's own environment, `account` whom the worker is started as. Reads the pool's files of
    variables now; raises StokerError, without any value, when one is missing or broken.
    """
    made = {name: value for name, value in inherited.items() if name not in _LEFT_OUT}
    if config.clear_env:
        made = {name: value for name, value in made.items() if _KEPT.fullmatch(name)}
    made["PWD"] = str(config.cwd)
    if account is not None:
        made.update(account.variables)
    for path in config.env_files:
        made.update(read_env_file(path))
    made.update(config.env)
    return made
