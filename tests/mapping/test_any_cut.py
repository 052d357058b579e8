"""Whatever the order in which lines are done, and wherever a run is cut off, the next ones make of its output what one
run alone would have made."""

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
import trio
import trio.lowlevel
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from supervisor.mapping.journal import SUFFIX
from supervisor.mapping.settings import Settings
from tests.mapping.hands import FAILING, Cut, Run, expected, settings_for, tiny, torn

LINES = st.one_of(
    st.integers(0, 10**9).map(lambda number: b"%d" % number),
    st.integers(0, 99).map(lambda number: b'{"custom_id":"c%d"}' % number),
    st.integers(0, 99).map(lambda size: b'"%b"' % (b"x" * size)),
    st.just(FAILING),
    st.sampled_from([b"", b" ", b"\r", b"not json", b"\xff", b"["]),
)
TEXTS = st.integers(0, 60).flatmap(lambda count: st.lists(LINES, min_size=count, max_size=count))
# Each before so many answers of a hundred lines.
CUTS = st.lists(st.builds(Cut, st.integers(0, 60), st.integers(0, 30), gently=st.booleans()), max_size=4)


@pytest.fixture(autouse=True)
def _tiny() -> object:
    with tiny():
        yield


@given(
    TEXTS,
    st.booleans(),
    CUTS,
    st.integers(0, 2**32),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_any_order_and_any_cut_leave_the_output_of_one_run(
    lines: list[bytes], ends: bool, cuts: list[Cut], seed: int, unordered: bool, records: bool, apart: bool
) -> None:
    text = b"\n".join(lines) + (b"\n" if ends and lines else b"")
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").write_bytes(text)
        errors = folder / "errors" if apart else None
        answered = sum(bool(line.strip()) for line in lines)
        cuts = [Cut(cut.answers * answered // 100, cut.turns, gently=cut.gently) for cut in cuts]
        last = _run(settings_for(folder, unordered=unordered, records=records, errors=errors), cuts, Random(seed))
        output, failures = expected(text, records=records, apart=apart)
        order = sorted if unordered else list
        got = (last / "out").read_bytes().splitlines(keepends=True)
        assert order(got) == order(output)
        if apart:
            assert order((last / "errors").read_bytes().splitlines(keepends=True)) == order(failures)
        assert {path.name for path in last.iterdir()} - {"next"} == {"in", "out", "errors"} - (
            set() if apart else {"errors"}
        )


def _run(settings: Settings, cuts: list[Cut], random: Random) -> Path:
    """The folder in which it came to its end."""
    for cut in [*cuts, None]:
        if trio.run(Run(settings, random, cut)):
            break
        if cut is not None and not cut.gently:
            folder = settings.cwd / "next"
            torn(folder, random)
            errors = folder / "errors" if settings.errors else None
            settings = replace(settings, cwd=folder, input=folder / "in", output=folder / "out", errors=errors)
    return settings.cwd


def test_what_was_answered_is_not_done_again_after_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"".join(b"%d\n" % number for number in range(1, 101)))
    settings = settings_for(tmp_path, unordered=True)
    first = Run(settings, Random(1), Cut(answers=50, gently=True))
    assert trio.run(first) is False
    second = Run(settings, Random(2))
    assert trio.run(second) is True
    assert sorted(first.answered + second.answered) == list(range(1, 101))


def test_a_run_that_is_cut_off_has_a_journal_and_one_that_is_finished_has_none(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"1\n2\n3\n")
    settings = settings_for(tmp_path)
    trio.run(Run(settings, Random(1), Cut(answers=1, gently=True)))
    assert (tmp_path / f"out{SUFFIX}").exists()
    trio.run(Run(settings, Random(1)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_memory_is_bounded_when_the_first_line_is_the_last_to_be_done(tmp_path: Path) -> None:
    """The rest waits behind it, up to a limit; then no more lines are taken."""
    (tmp_path / "in").write_bytes(b"".join(b"%d\n" % number for number in range(1, 1001)))
    run = Run(settings_for(tmp_path), Random(1), width=10**6)

    async def rest_until_full() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.feed.run)
            nursery.start_soon(run.answers.run)
            while run.answers.room:
                run._take()
                for line in run._flying:
                    if line.number != 1:
                        run._finish(line)
                run._flying = run._flying[:0]
                await trio.lowlevel.checkpoint()
            assert 1 not in run.answered
            assert 15 <= len(run.answered) <= 20
            assert (tmp_path / "out").read_bytes() == b""
            nursery.cancel_scope.cancel()

    trio.run(rest_until_full)
