"""stoker serve: the one command that becomes the daemon."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from supervisor.cli.failures import Failed, Misuse, say
from supervisor.cli.options import place_options, places

if TYPE_CHECKING:
    from supervisor.config.model import Config


@click.command()
@place_options
def serve() -> None:
    """Run the daemon, in the foreground, until SIGTERM or Ctrl-C.

    The configuration is -c FILE, else ./stoker.toml, else /etc/stoker/stoker.toml; --socket overrides its socket.
    """
    from supervisor.cli import collision, configuration
    from supervisor.errors import StartError, StoreUnavailable

    config = _with_socket(configuration.read(configuration.find(), lenient=True), places().socket)
    if trouble := collision.trouble():
        say(trouble)
    from supervisor.daemon.main import serve as run

    try:
        code = run(config)
    except StartError as error:
        raise Misuse(error.message) from None
    except StoreUnavailable as error:  # not 2, after which systemd would not try again
        raise Failed(error.message) from None
    raise click.exceptions.Exit(code)


def _with_socket(config: "Config", socket: str | None) -> "Config":
    if socket is None:
        return config
    from msgspec.structs import replace

    return replace(config, daemon=replace(config.daemon, socket=Path(os.path.abspath(socket))))
