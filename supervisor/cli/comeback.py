"""A daemon that went away, and is expected back."""

from contextlib import suppress
from time import monotonic, sleep

from protocol.client import Client, Disconnected
from supervisor.cli.connection import candidates, connect
from supervisor.cli.failures import NoDaemonThere
from supervisor.cli.options import places

BACK_SECS = 60.0  # longer than a restart, an upgrade included; who waits for a daemon that was stopped wants to know
AGAIN_SECS = 0.2  # between two looks for a daemon that went away


class Line:
    """To the daemon: `client`, and another one after each `reconnect`."""

    def __init__(self, client: Client) -> None:
        self.client = self._given = client

    def reconnect(self, gone: Disconnected, until: float) -> None:
        """Raises `gone` when the daemon stays away until then (of `monotonic`)."""
        paths = candidates(places())
        while monotonic() < until:
            sleep(AGAIN_SECS)
            with suppress(NoDaemonThere):
                client = connect(paths)
                self.close()
                self.client = client
                return
        raise gone

    def close(self) -> None:
        """The client that we were given is not ours."""
        if self.client is not self._given:
            self.client.close()
