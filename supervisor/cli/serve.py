"""stoker serve: the one command that becomes the daemon."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from supervisor.cli.failures import Failed, Misuse, say
from supervisor.cli.options import place_options, places

if TYPE_CHECKING:
    from supervisor.config.model import Config
    from supervisor.daemon.notify import Notifier


@click.command()
@place_options
def serve() -> None:
    """Run the daemon, in the foreground, until SIGTERM or Ctrl-C.

    The configuration is -c FILE, else ./stoker.toml, else /etc/stoker/stoker.toml; --socket overrides its socket.
    """
    from supervisor.daemon.notify import Notifier
    from supervisor.errors import StartError, StoreUnavailable

    notifier = Notifier.from_environ(os.environ)
    try:
        code = _run(notifier)
    except StartError as error:
        notifier.failed(error)
        raise Misuse(error.message) from None
    except StoreUnavailable as error:  # not 2, after which systemd would not try again
        notifier.failed(error)
        raise Failed(error.message) from None
    except Exception as error:  # what is wrong with the configuration, or a bug
        notifier.failed(error)
        raise
    raise click.exceptions.Exit(code)


def _run(notifier: "Notifier") -> int:
    from supervisor.cli import collision, configuration

    socket = places().socket
    config = _with_socket(configuration.read(configuration.find(), serving=True), socket)
    if trouble := collision.trouble():
        say(trouble)
    from supervisor.daemon.main import serve as run

    return run(config, notifier, own_socket=True) if socket else run(config, notifier)


def _with_socket(config: "Config", socket: str | None) -> "Config":
    if socket is None:
        return config
    from msgspec.structs import replace

    return replace(config, daemon=replace(config.daemon, socket=Path(os.path.abspath(socket))))
