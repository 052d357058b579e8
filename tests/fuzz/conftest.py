from tests.protocol.conftest import daemon_socket

__all__ = ["daemon_socket"]
