"""The store in plain Python: what the port means, as plainly as it can be said. For tests of the layers above."""

from supervisor.store.memory.disk import Disk
from supervisor.store.memory.reader import MemoryReader
from supervisor.store.memory.store import MemoryStore

__all__ = ["Disk", "MemoryReader", "MemoryStore"]
