"""The files of a run, opened so that nothing that is there is lost by mistake."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from supervisor.errors import StoreUnavailable
from supervisor.mapping.answers import OutputFailed
from supervisor.mapping.ids import new_stem
from supervisor.mapping.journal import CannotResume, Checkpoint, Journal, Kept, meaning
from supervisor.mapping.settings import Settings
from supervisor.mapping.sinks import File, Sink, Stream, is_plain, open_stream

WHOLE = "the lines that were written are whole"
RESUMABLE = "what is answered stays"


class Outputs:
    """Where answers go. `errors` is None where failures go to `output` too; `journal` is None where these are no
    regular files. `begun`: how far an earlier run was: what is in the files now."""

    def __init__(self, output: Sink, errors: Sink | None, journal: Journal | None, begun: Checkpoint) -> None:
        self.output = output
        self.errors = errors
        self.journal = journal
        self.begun = begun

    @property
    def kept(self) -> tuple[Kept, Kept]:
        return self.output.kept, Kept() if self.errors is None else self.errors.kept

    def append(self, output: bytes, errors: bytes) -> None:
        """Blocks. Raises ReaderGone and OutputFailed."""
        with self._translated():
            if output:
                self.output.append(output)
            if errors:
                assert self.errors is not None
                self.errors.append(errors)

    def keep(self, checkpoint: Checkpoint) -> None:
        """Make all that was appended last, and then the checkpoint that speaks of it. Blocks. Raises OutputFailed."""
        with self._translated():
            self._sync()
            if self.journal is not None:
                self.journal.write(checkpoint)

    def finish(self) -> None:
        """All is written: make it last, and leave no journal. Blocks. Raises OutputFailed."""
        with self._translated():
            self._sync()
            if self.journal is not None:
                self.journal.remove()

    def close(self) -> None:
        for sink in (self.output, self.errors):
            if isinstance(sink, File):
                sink.close()

    def _sync(self) -> None:
        self.output.sync()
        if self.errors is not None:
            self.errors.sync()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """With what is left after a failure, and what to do."""
        try:
            yield
        except StoreUnavailable as error:
            advice = WHOLE if self.journal is None else RESUMABLE
            raise OutputFailed(f"{error.message}; {advice}") from None


def open_outputs(settings: Settings) -> Outputs:
    """Raises CannotResume, OutputInUse and OutputFailed; nothing that was in the files is changed then."""
    output = _real(settings.output)
    errors = _real(settings.errors)
    _refuse_the_same(settings.input, output, errors)
    sinks: list[Sink] = []
    try:
        sinks.append(_stdout() if output is None else _sink(output))
        if errors is not None:
            sinks.append(_sink(errors))
        journal, begun = _journal(settings, output, sinks)
        for sink, kept in zip(sinks, (begun.output, begun.errors), strict=False):
            if isinstance(sink, File):
                sink.check(kept)
        for sink, kept in zip(sinks, (begun.output, begun.errors), strict=False):
            if isinstance(sink, File):
                sink.begin(kept)
        opened = Outputs(sinks[0], sinks[1] if errors is not None else None, journal, begun)
        if journal is not None:
            opened.keep(begun)  # before the first answer: one that nobody knows of is never in the output
    except BaseException:
        for sink in sinks:
            if isinstance(sink, File):
                sink.close()
        raise
    return opened


def _journal(settings: Settings, output: Path | None, sinks: list[Sink]) -> tuple[Journal | None, Checkpoint]:
    """Once the files are locked. Every run into regular files keeps one: who is cut off can go on, wanted or not."""
    wanted = meaning(settings)
    anew = Checkpoint(meaning=wanted, stem=new_stem())
    if output is None or not all(isinstance(sink, File) for sink in sinks):
        if settings.resume:
            raise CannotResume(
                "--resume needs --output FILE, and regular files: others cannot be cut back to where they were good"
            )
        return None, anew
    journal = Journal(output)
    if not settings.resume:
        _refuse_unfinished(journal, output)
        # A file that one may write may be in a folder that one may not: then it is written, as nobody asked for more.
        return journal if os.access(output.parent, os.W_OK) else None, anew
    begun = journal.read(wanted)
    if begun is None:
        _refuse_results(journal, sinks)
    return journal, begun or anew


def _refuse_unfinished(journal: Journal, output: Path) -> None:
    if os.path.lexists(journal.path):
        raise CannotResume(
            f"{output} is of a run that was not finished; say --resume to go on with it, or remove {journal.path} "
            "to begin anew"
        )


def _refuse_results(journal: Journal, sinks: list[Sink]) -> None:
    for sink in sinks:
        if isinstance(sink, File) and sink.present:
            raise CannotResume(
                f"{sink.path} is not empty, and there is no journal {journal.path} that says how far it goes: its run "
                "is finished, as it seems; move it away to begin anew"
            )


def _sink(path: Path) -> Sink:
    return File(path) if is_plain(path) else open_stream(path)


def _stdout() -> Stream:
    if sys.__stdout__ is None:
        raise OutputFailed("stdout is closed; write to a file with --output FILE")
    return Stream(1, "the output")


def _real(path: Path | None) -> Path | None:
    """Two names of one file have one journal. What is no file has no other name: /dev/stdout may lead to a pipe."""
    return path.resolve() if path is not None and is_plain(path) else path


def _refuse_the_same(source: Path | None, output: Path | None, errors: Path | None) -> None:
    """One file in two places would be emptied before it is read, be read without an end, or be written by two."""
    named = [("--input", source, "stdin", 0), ("--output", output, "stdout", 1), ("--errors", errors, "", -1)]
    seen: dict[tuple[int, int] | Path, str] = {}
    for option, path, stream, number in named:
        name, key = (stream, _of_stream(number)) if path is None else (option, _identity(path))
        if key is None:
            continue
        if key in seen:
            which = "" if path is None else f", {path}"
            raise OutputFailed(f"{seen[key]} and {name} are the same file{which}: name another one")
        seen[key] = name


def _identity(path: Path) -> tuple[int, int] | Path | None:
    with suppress(OSError):
        found = path.stat()
        return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None
    return path.resolve()


def _of_stream(number: int) -> tuple[int, int] | None:
    """None where it is no file, or there is none."""
    with suppress(OSError):
        found = os.fstat(number)
        return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None
    return None
