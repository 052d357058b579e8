"""In journald's place: its socket, and entries read back from their bytes."""

import array
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

Entry = dict[str, bytes]


def parse(data: bytes) -> list[tuple[str, bytes]]:
    """The fields of an entry in their order, as https://systemd.io/JOURNAL_NATIVE_PROTOCOL/ has it."""
    fields = []
    while data:
        line, _, rest = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(rest[:8], "little")
            value, data = rest[8 : 8 + size], rest[8 + size :]
            assert data[:1] == b"\n"
            data = data[1:]
        else:
            data = rest
        fields.append((name.decode(), value))
    return fields


class Journald:
    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.files = 0  # entries that came as one
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(20)
        self._socket.bind(self.path)

    def read(self) -> Entry:
        """The next entry."""
        size = self._socket.recv_into(bytearray(1), 1, socket.MSG_PEEK | socket.MSG_TRUNC)
        data, ancillary, _, _ = self._socket.recvmsg(size, 64)
        for level, kind, passed in ancillary:
            assert (level, kind, data) == (socket.SOL_SOCKET, socket.SCM_RIGHTS, b"")
            [descriptor] = array.array("i", passed)
            self.files += 1
            with open(descriptor, "rb") as file:
                data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
                _must_not_change(file.fileno())
        fields = parse(data)
        assert len({name for name, _ in fields}) == len(fields)
        return dict(fields)

    def read_all(self) -> list[Entry]:
        """What is there by now."""
        self._socket.setblocking(False)
        found = []
        try:
            while True:
                found.append(self.read())
        except BlockingIOError:
            return found
        finally:
            self._socket.settimeout(20)

    def close(self) -> None:
        self._socket.close()
        Path(self.path).unlink(missing_ok=True)


def _must_not_change(descriptor: int) -> None:
    import fcntl

    assert fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) == 0b1111  # or journald would not take it


@contextmanager
def journald(folder: Path) -> Iterator[Journald]:
    one = Journald(folder / "journal")
    try:
        yield one
    finally:
        one.close()
