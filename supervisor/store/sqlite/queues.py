"""Queue names as small integers, and the numbers that rows are born with."""

import apsw


class Queues:
    """The name of a queue for its number and back. A number is given once and for ever."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._ids: dict[str, int] = {}
        self._fresh: list[str] = []
        self._any_loud: bool | None = None

    def known(self, name: str) -> int | None:
        found = self._ids.get(name)
        if found is None:
            found = self._connection.execute("SELECT id FROM queues WHERE name = ?", (name,)).get
            if found is not None:
                self._ids[name] = found
        return found

    @property
    def any_loud(self) -> bool:
        """Whether the journal is to be told of some queue's jobs. Asked once for each batch, and answered from memory
        for as long as no queue is new and none is silenced."""
        if self._any_loud is None:
            self._any_loud = bool(self._connection.execute("SELECT EXISTS (SELECT 1 FROM queues WHERE NOT silent)").get)
        return self._any_loud

    def silenced(self) -> None:
        """What was known of it is not true any more."""
        self._any_loud = None

    def intern(self, name: str) -> int:
        """The number of a queue, new if need be. Inside a transaction."""
        found = self.known(name)
        if found is None:
            found = self._connection.execute("INSERT INTO queues (name) VALUES (?) RETURNING id", (name,)).get
            self._ids[name] = found
            self._fresh.append(name)
            self._any_loud = None
        return found

    def committed(self) -> None:
        self._fresh.clear()

    def rolled_back(self) -> None:
        for name in self._fresh:
            self._ids.pop(name, None)
        self._fresh.clear()
        self._any_loud = None


class Counter:
    """Rising numbers. A rollback leaves a gap and takes nothing back: a number is never given twice."""

    def __init__(self, last: int) -> None:
        self.last = last

    def take(self, n: int = 1) -> int:
        """The first of `n` new numbers."""
        first = self.last + 1
        self.last += n
        return first
