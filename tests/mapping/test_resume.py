"""What --resume goes on with, and what it refuses: then nothing that is there is changed."""

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from unittest.mock import patch

import pytest
import trio
from msgspec.structs import replace

from supervisor.errors import StokerError
from supervisor.mapping.answers import OutputFailed
from supervisor.mapping.ends import open_ends
from supervisor.mapping.input import WrongInput
from supervisor.mapping.journal import SUFFIX, CannotResume, Checkpoint, Journal, meaning
from supervisor.mapping.settings import Settings
from supervisor.mapping.sinks import File, OutputInUse
from tests.mapping.hands import Cut, Run, settings_for, tiny

NUMBERS = b"".join(b"%d\n" % number for number in range(1, 101))


@pytest.fixture(autouse=True)
def _tiny() -> object:
    with tiny():
        yield


@pytest.fixture
def half(tmp_path: Path) -> Settings:
    """Of a run that was cut off."""
    (tmp_path / "in").write_bytes(NUMBERS)
    settings = settings_for(tmp_path)
    trio.run(Run(settings, Random(1), Cut(answers=50, gently=True)))
    assert 0 < len((tmp_path / "out").read_bytes()) < len(NUMBERS)
    return settings


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "in"}


def refused(settings: Settings, error: type[StokerError], *words: str) -> None:
    before = contents(settings.cwd)
    with pytest.raises(error) as caught:
        open_ends(settings).close()
    assert all(word in caught.value.message for word in words), caught.value.message
    assert contents(settings.cwd) == before


def test_it_goes_on_with_other_workers_and_times(half: Settings) -> None:
    assert trio.run(Run(replace(half, workers=9, retries=3, timeout=1.0), Random(2)))
    assert (half.cwd / "out").read_bytes() == NUMBERS


def test_it_goes_on_with_an_input_that_has_grown(half: Settings) -> None:
    with (half.cwd / "in").open("ab") as file:
        file.write(b"101\n")
    assert trio.run(Run(half, Random(2)))
    assert (half.cwd / "out").read_bytes() == NUMBERS + b"101\n"


@pytest.mark.parametrize(
    "change",
    [lambda text: text.replace(b"3", b"4", 1), lambda text: text[:20], lambda text: b""],
    ids=["other", "shorter", "empty"],
)
def test_another_input_is_refused(half: Settings, change: Callable[[bytes], bytes]) -> None:
    (half.cwd / "in").write_bytes(change(NUMBERS))
    before = (half.cwd / "out").read_bytes()
    with pytest.raises(BaseExceptionGroup) as caught:
        trio.run(Run(half, Random(2)))
    assert caught.group_contains(WrongInput, match="this is not the input")
    assert (half.cwd / "out").read_bytes() == before
    (half.cwd / "in").write_bytes(NUMBERS)
    assert trio.run(Run(half, Random(2)))
    assert (half.cwd / "out").read_bytes() == NUMBERS


def test_a_line_that_was_answered_before_its_turn_is_the_same_when_the_run_goes_on(tmp_path: Path) -> None:
    """It is known by its number: of another input a line would be missed, and one done twice."""
    (tmp_path / "in").write_bytes(NUMBERS)
    settings = settings_for(tmp_path, unordered=True)
    trio.run(Run(settings, _LastFirst(), Cut(answers=3, gently=True)))  # of the five that are there at once
    known = Journal(tmp_path / "out").read(meaning(settings))
    assert known is not None
    last, before = known.answered[-1][1], (tmp_path / "out").read_bytes()
    for other in (_changed(last, b"0" * len(b"%d" % last)), _changed(last, b"new\n%d" % last), b"", b"1\n"):
        (tmp_path / "in").write_bytes(other)
        with pytest.raises(BaseExceptionGroup) as caught:
            trio.run(Run(settings, Random(2)))
        assert caught.group_contains(WrongInput, match="this is not the input")
        assert (tmp_path / "out").read_bytes() == before
    (tmp_path / "in").write_bytes(_changed(known.reach.number + 1, b"0"))  # nobody has answered that
    assert trio.run(Run(settings, Random(2)))
    wanted = _changed(known.reach.number + 1, b"0").splitlines()
    assert sorted((tmp_path / "out").read_bytes().splitlines()) == sorted(wanted)


class _LastFirst(Random):
    def randrange(self, start: int, *_: object) -> int:
        return start - 1


def _changed(number: int, text: bytes) -> bytes:
    lines = NUMBERS.splitlines()
    lines[number - 1] = text
    return b"\n".join(lines) + b"\n"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"command": ("worker", "--other")}, "worker --other"),
        ({"unordered": True}, "without --unordered"),
        ({"records": True}, "without --records"),
        ({"raw_input": True}, "without --raw-input"),
        ({"errors": Path("errors")}, "without --errors"),
    ],
)
def test_a_run_that_means_something_else_is_refused(half: Settings, change: dict[str, object], word: str) -> None:
    if "errors" in change:
        change = {"errors": half.cwd / "errors"}
        (half.cwd / "errors").touch()
    refused(replace(half, **change), CannotResume, word)


def test_an_output_that_is_shorter_than_its_journal_says_is_refused(half: Settings) -> None:
    os.truncate(half.cwd / "out", 10)
    refused(half, CannotResume, "has 10 bytes", "its journal says")


def test_another_errors_file_is_refused_and_keeps_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(NUMBERS)
    settings = settings_for(tmp_path, errors=tmp_path / "errors")
    trio.run(Run(settings, Random(1), Cut(answers=50, gently=True)))
    (tmp_path / "other").write_bytes(b"of somebody else\n")
    refused(replace(settings, errors=tmp_path / "other"), CannotResume, "--errors was errors, and not other")


def test_files_that_were_moved_together_are_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(NUMBERS)
    (tmp_path / "before").mkdir()
    settings = settings_for(tmp_path, output=tmp_path / "before" / "out", errors=tmp_path / "before" / "errors")
    trio.run(Run(settings, Random(1), Cut(answers=50, gently=True)))
    (tmp_path / "before").rename(tmp_path / "after")
    moved = replace(settings, output=tmp_path / "after" / "out", errors=tmp_path / "after" / "errors")
    assert trio.run(Run(moved, Random(2)))
    assert (tmp_path / "after" / "out").read_bytes() == NUMBERS


def test_a_command_of_bytes_that_are_no_text_has_a_journal_too(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(NUMBERS)
    settings = settings_for(tmp_path, command=("worker", os.fsdecode(b"\xff")))
    trio.run(Run(settings, Random(1), Cut(answers=50, gently=True)))
    refused(replace(settings, command=("worker", os.fsdecode(b"\xfe"))), CannotResume, "its command was")
    assert trio.run(Run(settings, Random(2)))
    assert (tmp_path / "out").read_bytes() == NUMBERS


@pytest.mark.parametrize("by", [b"", b"0"], ids=["as long", "longer"])
def test_an_output_that_was_edited_is_refused(half: Settings, by: bytes) -> None:
    """Cut back to the length that it had, it would end in half a line, and miss others."""
    text = (half.cwd / "out").read_bytes()
    (half.cwd / "out").write_bytes(b"7" + by + text[1:])
    refused(half, CannotResume, "was changed", "bring that back")


@pytest.mark.parametrize("text", [b"", b"{}", b"nothing of ours", b'{"version":2}'])
def test_a_journal_that_is_none_is_refused(half: Settings, text: bytes) -> None:
    (half.cwd / f"out{SUFFIX}").write_bytes(text)
    refused(half, CannotResume, "journal")


@pytest.mark.parametrize("place", range(3))
def test_a_journal_that_was_damaged_is_refused(half: Settings, place: int) -> None:
    """A number that has become another one is still JSON."""
    path = half.cwd / f"out{SUFFIX}"
    text = path.read_bytes()
    digits = [found.start() for found in re.finditer(rb"\d", text[text.index(b'"input"') :])]
    at = text.index(b'"input"') + digits[place]
    path.write_bytes(text[:at] + (b"1" if text[at : at + 1] != b"1" else b"7") + text[at + 1 :])
    refused(half, CannotResume, "journal", "was damaged")


def test_an_output_that_another_run_writes_is_refused(half: Settings) -> None:
    first = open_ends(half)
    with patch("supervisor.mapping.sinks.LINGERS", 0.0):
        refused(half, OutputInUse, "another `stoker map`")
        refused(replace(half, resume=False), OutputInUse)
    first.close()
    open_ends(half).close()


def test_results_without_a_journal_are_never_written_over(half: Settings) -> None:
    assert trio.run(Run(half, Random(2)))
    refused(half, CannotResume, "is not empty", "move it away")


def test_results_in_the_errors_file_alone_are_not_written_over_either(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(NUMBERS)
    (tmp_path / "errors").write_bytes(b"something\n")
    settings = settings_for(tmp_path, errors=tmp_path / "errors")
    with pytest.raises(CannotResume, match="errors is not empty"):
        open_ends(settings)
    assert (tmp_path / "errors").read_bytes() == b"something\n"


def test_a_run_that_was_cut_off_is_not_begun_anew_by_mistake(half: Settings) -> None:
    refused(replace(half, resume=False), CannotResume, "say --resume to go on")


def test_a_run_that_is_cut_off_can_go_on_though_nobody_thought_of_it_before(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(NUMBERS)
    settings = settings_for(tmp_path, resume=False)
    trio.run(Run(settings, Random(1), Cut(answers=50, gently=True)))
    assert trio.run(Run(replace(settings, resume=True), Random(2)))
    assert (tmp_path / "out").read_bytes() == NUMBERS


def test_without_resume_a_finished_output_is_made_anew_as_a_shell_does(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"1\n")
    (tmp_path / "out").write_bytes(NUMBERS)
    assert trio.run(Run(settings_for(tmp_path, resume=False), Random(2)))
    assert (tmp_path / "out").read_bytes() == b"1\n"


def test_to_a_pipe_or_a_device_there_is_nothing_to_go_on_with(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(NUMBERS)
    for more in ({"output": None}, {"output": Path("/dev/null")}, {"errors": Path("/dev/null")}):
        with pytest.raises(CannotResume, match="regular files"):
            open_ends(settings_for(tmp_path, **more))


def test_a_file_is_not_read_and_written_at_once(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(NUMBERS)
    (tmp_path / "alias").symlink_to("in")
    for more in ({"output": tmp_path / "in"}, {"errors": tmp_path / "alias"}, {"errors": tmp_path / "out"}):
        with pytest.raises(OutputFailed, match="are the same file"):
            open_ends(settings_for(tmp_path, resume=False, **more))
    assert (tmp_path / "in").read_bytes() == NUMBERS


def test_two_names_of_one_output_have_one_journal(half: Settings) -> None:
    (half.cwd / "alias").symlink_to("out")
    assert trio.run(Run(replace(half, output=half.cwd / "alias"), Random(2)))
    assert (half.cwd / "out").read_bytes() == NUMBERS
    assert not (half.cwd / f"out{SUFFIX}").exists()


@pytest.mark.parametrize("call", ["pwrite", "fsync", "fdatasync", "replace"])
@pytest.mark.parametrize("times", range(1, 5))
def test_after_a_full_disk_it_goes_on_where_it_was(tmp_path: Path, call: str, times: int) -> None:
    (tmp_path / "in").write_bytes(NUMBERS)
    settings = settings_for(tmp_path)
    original, left = getattr(os, call), times

    def full(*args: object, **more: object) -> object:
        nonlocal left
        left -= 1
        if left > 0:
            return original(*args, **more)
        if call == "pwrite":
            original(args[0], bytes(args[1])[:3], args[2])  # type: ignore[call-overload]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def until_full() -> None:
        await Run(settings, Random(1))()

    with patch.object(os, call, full), pytest.raises((OutputFailed, BaseExceptionGroup)) as caught:
        trio.run(until_full)
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, OutputFailed)
    assert "the disk is full" in error.message
    assert trio.run(Run(settings, Random(2)))
    assert (tmp_path / "out").read_bytes() == NUMBERS


def test_a_journal_speaks_only_of_what_is_synced(tmp_path: Path) -> None:
    """So that a power cut leaves at least what it says."""
    (tmp_path / "in").write_bytes(NUMBERS)
    settings = settings_for(tmp_path)
    run = Run(settings, Random(1))
    output = run.answers._outputs.output
    assert isinstance(output, File)
    assert output._file is not None
    synced = 0
    sync, write = output._file.sync, Journal.write
    told: list[int] = []

    def note_sync() -> None:
        nonlocal synced
        sync()
        synced = output.kept.size

    def note_write(self: Journal, checkpoint: Checkpoint) -> None:
        assert checkpoint.output.size <= synced
        told.append(checkpoint.output.size)
        write(self, checkpoint)

    with patch.object(output._file, "sync", note_sync), patch.object(Journal, "write", note_write):
        assert trio.run(run)
    assert told == sorted(told)
    assert told[-1] > 0
    assert synced == len(NUMBERS)


def test_where_no_journal_can_be_made_a_run_that_did_not_ask_for_one_goes_on(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(NUMBERS)
    with patch.object(os, "access", lambda path, mode: False):
        run = Run(settings_for(tmp_path, resume=False), Random(1))
    assert trio.run(run)
    assert run.answers._outputs.journal is None
    assert (tmp_path / "out").read_bytes() == NUMBERS
