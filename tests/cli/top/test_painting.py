"""The bytes for the terminal: they lead to the frame, whatever was there, and are few."""

from hypothesis import given
from hypothesis import strategies as st

from supervisor.cli.top.columns import Piece
from supervisor.cli.top.frame import Scene, frame
from supervisor.cli.top.painting import Painter, bare, painted
from supervisor.cli.top.watching import News
from tests.cli.samples import queue
from tests.cli.top.emulator import Emulator
from tests.cli.top.scenes import busy, many, running, snapshot

STEPS = st.lists(
    st.tuples(
        st.integers(2, 120), st.integers(1, 40), st.integers(0, 6), st.integers(0, 3), st.integers(0, 9), st.booleans()
    ),
    min_size=1,
    max_size=6,
)


@given(STEPS)
def test_the_screen_is_the_frame_after_any_other_and_any_change_of_size(steps: list[tuple[int, ...]]) -> None:
    painter = Painter(colours=True, encoding="utf-8")
    screen = Emulator(1, 1)
    for width, height, queues, pools, workers, same in steps:
        if not same or screen.size == (1, 1):
            screen.resize(width, height)
        lines = frame(Scene(News(many(queues, pools, workers))), *screen.size).lines
        screen.feed(painter.paint(lines, *screen.size))
        assert screen.lines == [bare(line) for line in lines]


def test_what_did_not_change_costs_nothing_and_what_did_costs_its_line() -> None:
    painter = Painter(colours=True, encoding="utf-8")
    first = many(8, 2, 12)
    lines = frame(Scene(News(first)), 80, 24).lines
    whole = painter.paint(lines, 80, 24)
    assert 500 < len(whole) < 4000
    assert painter.paint(lines, 80, 24) == b""
    changed = first._replace(
        status={**first.status, "queues": [queue("queue-000", pending=13), *first.status["queues"][1:]]}
    )
    one = painter.paint(frame(Scene(News(changed)), 80, 24).lines, 80, 24)
    assert 0 < len(one) < 400  # the line of the queue, and the first one, which sums
    painter.forget()
    assert len(painter.paint(lines, 80, 24)) == len(whole)


def test_a_second_of_a_busy_house_is_below_two_kilobytes() -> None:
    painter = Painter(colours=True, encoding="utf-8")
    sizes = []
    for second in range(10):
        jobs = [
            running(n, name=f"job {n}", started_at="2030-01-31T07:00:00Z", progress={"progress": (second + n) / 30})
            for n in range(12)
        ]
        told = snapshot(
            queues=[queue(f"q{n}", pending=1000 + 7 * second * n, finish_rate=100.0 + second) for n in range(4)],
            workers=[busy(n, rss=10**8 + second) for n in range(12)],
            jobs=jobs,
        )
        sizes.append(len(painter.paint(frame(Scene(News(told)), 80, 24).lines, 80, 24)))
    assert max(sizes[1:]) < 2048


def test_without_colours_other_styles_stay() -> None:
    line = (Piece("head", "bold"), Piece(" "), Piece("failed", "red"), Piece("  ", "red"))
    assert painted(line, colours=True) == "\x1b[1mhead\x1b[0m \x1b[31mfailed\x1b[0m  "
    assert painted(line, colours=False) == "\x1b[1mhead\x1b[0m failed  "
    assert bare(line) == "head failed"


def test_what_the_terminals_encoding_lacks_is_a_question_mark() -> None:
    painter = Painter(colours=False, encoding="latin-1")
    assert painter.paint([(Piece("né 漢 …"),)], 20, 1) == b"\x1b[1Hn\xe9 ? ?\x1b[K"
    assert Painter(colours=False, encoding="utf-8").paint([(Piece("\ud800"),)], 20, 1) == b"\x1b[1H?\x1b[K"
