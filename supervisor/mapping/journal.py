"""How far a run of `stoker map --resume` is: a small file beside its output, always whole."""

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import msgspec

from supervisor.errors import StokerError
from supervisor.lines.whole import PART, saying, sync_folder, write_whole
from supervisor.mapping.coverage import Coverage, Place
from supervisor.mapping.settings import Settings

SUFFIX = ".stoker-journal"
VERSION = 1


class CannotResume(StokerError):
    """What is there is not what this run could go on with. Nothing was changed."""

    code = "cannot_resume"


class Meaning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What two runs must have in common for their outputs to be one: not the number of workers, nor their time.
    `errors`: that file, as it is named from the folder of the output: both may be moved together."""

    command: list[str]
    unordered: bool
    records: bool
    raw_input: bool
    errors: str | None


class Kept(NamedTuple):
    """So many bytes of a file, from its beginning, and their checksum."""

    size: int = 0
    crc32: int = 0


class _Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is in the file. `crc32` is that of the checkpoint as it is written: one that was damaged says anything."""

    crc32: int
    checkpoint: msgspec.Raw


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`answered`: ranges of lines behind `input`, up to which all are, and `reach`
    the place before which the last of them is. `output` and `errors`: what is good of them.
    `stem` begins the ids of its lines."""

    version: int = VERSION
    meaning: Meaning
    stem: str
    input: Place = Place()
    answered: list[tuple[int, int]] = msgspec.field(default_factory=list)
    reach: Place = Place()
    output: Kept = Kept()
    errors: Kept = Kept()
    passed: int = 0
    failed: int = 0

    def coverage(self) -> Coverage:
        return Coverage(self.input, self.answered, self.reach)


def meaning(settings: Settings) -> Meaning:
    return Meaning(
        command=[_text(argument) for argument in settings.command],
        unordered=settings.unordered,
        records=settings.records,
        raw_input=settings.raw_input,
        errors=_from_output(settings),
    )


def _from_output(settings: Settings) -> str | None:
    if settings.errors is None or settings.output is None:
        return None
    return _text(os.path.relpath(settings.errors.resolve(), settings.output.resolve().parent))


def _text(name: str) -> str:
    """With bytes that are no UTF-8 made visible: JSON has none."""
    return name.encode(errors="backslashreplace").decode()


def path_for(output: Path) -> Path:
    return output.with_name(output.name + SUFFIX)


class Journal:
    """Of the output that is at `output`. Whoever writes it has locked that."""

    def __init__(self, output: Path) -> None:
        self.path = path_for(output)
        self._output = output

    def read(self, wanted: Meaning) -> Checkpoint | None:
        """None: there is no journal. Raises CannotResume for one that cannot be read, or is of another run."""
        try:
            page = msgspec.json.decode(self.path.read_bytes(), type=_Page)
            if crc32(page.checkpoint) != page.crc32:
                raise CannotResume(f"the journal {self.path} was damaged: remove it and {self._output} to begin anew")
            found = msgspec.json.decode(page.checkpoint, type=Checkpoint)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CannotResume(f"cannot read the journal {self.path}: {error.strerror}") from None
        except (msgspec.DecodeError, RecursionError) as error:
            raise CannotResume(f"{self.path} is not a journal that this version can read: {error}") from None
        if found.version != VERSION:
            raise CannotResume(f"{self.path} is a journal of another version of stoker: finish with that one")
        if found.meaning != wanted:
            raise CannotResume(f"{self.path} is of another run: {_difference(found.meaning, wanted)}; {self._advice()}")
        return found

    def write(self, checkpoint: Checkpoint) -> None:
        """The files that it speaks of are synced. When this returns, it stays. Raises StoreUnavailable."""
        text = msgspec.json.encode(checkpoint)
        page = _Page(crc32(text), msgspec.Raw(text))
        write_whole(self.path, msgspec.json.encode(page) + b"\n", mode=0o666)

    def remove(self) -> None:
        """All is done, and synced. Raises StoreUnavailable."""
        with suppress(FileNotFoundError):
            self.path.with_name(self.path.name + PART).unlink()
        with saying(self.path):
            self.path.unlink(missing_ok=True)
            sync_folder(self.path.parent)

    def _advice(self) -> str:
        return f"go on as it began, or remove it and {self._output} to begin anew"


def _difference(before: Meaning, now: Meaning) -> str:
    if before.command != now.command:
        return f"its command was {_shown(before.command)}, and not {_shown(now.command)}"
    if before.errors and now.errors and before.errors != now.errors:
        return f"its --errors was {before.errors}, and not {now.errors}"
    options = {
        "--unordered": (before.unordered, now.unordered),
        "--records": (before.records, now.records),
        "--raw-input": (before.raw_input, now.raw_input),
        "--errors": (before.errors is not None, now.errors is not None),
    }
    told = [f"{'with' if was else 'without'} {name}" for name, (was, is_) in options.items() if was != is_]
    return f"it was {' and '.join(told)}"


def _shown(command: list[str]) -> str:
    from shlex import join

    text = join(command)
    return text if len(text) <= 200 else text[:199] + "…"
