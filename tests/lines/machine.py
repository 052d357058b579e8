"""A machine that stops between any two operations on its files, and a disk that then has what was synced, and of the
rest whatever it likes."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.store.power import LOSSES, Loss, Truncate, Write

__all__ = ["LOSSES", "Machine", "PowerCut"]


class PowerCut(BaseException):
    """Nothing happens on this machine any more."""


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Any] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.pending:
            change.apply(self.durable)
        self.pending.clear()

    def survivor(self, loss: Loss, rng: random.Random) -> bytearray:
        content = bytearray(self.durable)
        for change in loss(self.pending, rng):
            change.apply(content)
        return content


_Entries = dict[str, "_File | _Folder"]


@dataclass
class _Folder:
    """A name is there for good when the folder that has it is synced, and not before."""

    durable: _Entries = field(default_factory=dict)
    pending: list[Any] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.pending:
            change.apply(self.durable)
        self.pending.clear()

    def survivor(self, loss: Loss, rng: random.Random) -> _Entries:
        entries = dict(self.durable)
        for change in loss(self.pending, rng):
            change.apply(entries)
        return entries


@dataclass
class _Change:
    """Of a folder: whole or not at all."""

    name: str
    node: _File | _Folder | None = None  # what gets the name; None: nothing has it any more
    renamed: str | None = None  # the name that it gets instead

    def sectors(self) -> Iterator[_Change]:
        yield self

    def apply(self, entries: _Entries) -> None:
        if self.renamed is not None:
            if self.name in entries:
                entries[self.renamed] = entries.pop(self.name)
        elif self.node is not None:
            entries[self.name] = self.node
        else:
            entries.pop(self.name, None)


class Machine:
    """Runs what is done inside `running` on a real folder, until the operation number `cut_at` is to begin: that one
    and all after it raise PowerCut. `ignored` are calls that do nothing of what they promise."""

    def __init__(self, root: Path, cut_at: int, *, ignored: Iterable[str] = (), seed: int = 0) -> None:
        self.operations = 0
        self._root = root
        self._cut_at = cut_at
        self._ignored = frozenset(ignored)
        self._rng = random.Random(seed)
        self._nodes: dict[int, _File | _Folder] = {}
        self._tree = self._found(root)

    @property
    def is_off(self) -> bool:
        return self.operations >= self._cut_at

    def recover(self, folder: Path, loss: Loss, rng: random.Random) -> None:
        """Make `folder` what is there when the power is back."""
        _write_out(self._tree, folder, loss, rng)

    @contextmanager
    def running(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("open", "pwrite", "fsync", "fdatasync", "ftruncate", "fchmod", "mkdir", "unlink", "rmdir"):
                patch.setattr(os, name, self._wrapped(getattr(os, name), getattr(self, f"_{name}")))
            for name in ("rename", "replace"):
                patch.setattr(os, name, self._wrapped(getattr(os, name), self._rename))
            yield

    def _wrapped(self, true: Callable[..., Any], watching: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            return watching(true, *arguments, **named)

        return call

    def _begin(self) -> None:
        if self.is_off:
            raise PowerCut
        self.operations += 1
        if self.is_off:
            raise PowerCut

    def _found(self, path: Path) -> _Folder:
        """What is there already is there for good."""
        folder = _Folder()
        self._nodes[path.stat().st_ino] = folder
        for entry in path.iterdir():
            if entry.is_dir():
                folder.durable[entry.name] = self._found(entry)
            else:
                file = _File(bytearray(entry.read_bytes()))
                self._nodes[entry.stat().st_ino] = folder.durable[entry.name] = file
        return folder

    def _node(self, fd: int) -> Any:
        return self._nodes.get(os.fstat(fd).st_ino)

    def _parent(self, path: Any, dir_fd: int | None) -> tuple[_Folder, str]:
        found = os.fstat(dir_fd) if dir_fd is not None else os.stat(Path(path).parent)
        node = self._nodes[found.st_ino]
        assert isinstance(node, _Folder)
        return node, Path(path).name

    def _open(self, true: Any, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if not flags & os.O_CREAT:
            return int(true(path, flags, mode, dir_fd=dir_fd))
        self._begin()
        parent, name = self._parent(path, dir_fd)
        new = not os.path.lexists(path)
        fd = int(true(path, flags, mode, dir_fd=dir_fd))
        if new:
            file = _File()
            self._nodes[os.fstat(fd).st_ino] = file
            parent.pending.append(_Change(name, file))
        elif flags & os.O_TRUNC:
            self._node(fd).pending.append(Truncate(0))
        return fd

    def _pwrite(self, true: Any, fd: int, data: Any, offset: int) -> int:
        try:
            self._begin()
        except PowerCut:
            if self.operations == self._cut_at:  # who dies in the middle of it has written some
                true(fd, bytes(data)[: self._rng.randint(0, len(data))], offset)
                self.operations += 1
            raise
        self._node(fd).pending.append(Write(offset, bytes(data)))
        return int(true(fd, data, offset))

    def _ftruncate(self, true: Any, fd: int, size: int) -> None:
        self._begin()
        self._node(fd).pending.append(Truncate(size))
        true(fd, size)

    def _fchmod(self, true: Any, fd: int, mode: int) -> None:
        self._begin()
        true(fd, mode)

    def _fsync(self, true: Any, fd: int) -> None:
        self._begin()
        node = self._node(fd)
        if ("sync_folder" if isinstance(node, _Folder) else "fsync") not in self._ignored:
            node.sync()

    def _fdatasync(self, true: Any, fd: int) -> None:
        self._begin()
        if "fdatasync" not in self._ignored:
            self._node(fd).sync()

    def _mkdir(self, true: Any, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        self._begin()
        true(path, mode, dir_fd=dir_fd)
        parent, name = self._parent(path, dir_fd)
        folder = self._nodes[os.stat(path).st_ino] = _Folder()
        parent.pending.append(_Change(name, folder))

    def _unlink(self, true: Any, path: Any, *, dir_fd: int | None = None) -> None:
        self._begin()
        true(path, dir_fd=dir_fd)
        parent, name = self._parent(path, dir_fd)
        parent.pending.append(_Change(name))

    _rmdir = _unlink

    def _rename(self, true: Any, old: Any, new: Any) -> None:
        self._begin()
        parent, name = self._parent(old, None)
        other, renamed = self._parent(new, None)
        assert parent is other
        true(old, new)
        parent.pending.append(_Change(name, renamed=renamed))


def _write_out(node: _Folder, path: Path, loss: Loss, rng: random.Random) -> None:
    path.mkdir()
    for name, inner in node.survivor(loss, rng).items():
        if isinstance(inner, _Folder):
            _write_out(inner, path / name, loss, rng)
        else:
            (path / name).write_bytes(inner.survivor(loss, rng))


def after_a_kill(root: Path, folder: Path) -> None:
    """Make `folder` what is there when not the machine but the program has stopped: everything it did."""
    shutil.copytree(root, folder)
