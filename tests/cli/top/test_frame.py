"""What stoker top shows, in any room there is."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from supervisor.cli.top.frame import Frame, Scene, frame
from supervisor.cli.top.painting import bare
from supervisor.cli.top.watching import News
from tests.cli.samples import ago, pool, queue
from tests.cli.top.scenes import AT, SPREAD, busy, idle, job_id, many, news, running, snapshot


def shown(of: News, width: int = 80, height: int | None = 24, **scene: Any) -> list[str]:
    return [bare(line) for line in frame(Scene(of, **scene), width, height).lines]


def section(lines: list[str], header: str) -> list[str]:
    """The rows of one table."""
    [start] = [n for n, line in enumerate(lines) if line.startswith(header)]
    rows = lines[start + 1 :]
    return rows[: next((n for n, line in enumerate(rows) if not line or line[:2].isupper()), len(rows))]


def test_a_small_house_is_all_there_in_80_columns_and_24_rows() -> None:
    jobs = [
        running(0, name="resize a.png", progress={"progress": 0.4, "message": "page 4 of 10"}),
        running(1, name="resize b.png", started_at="2030-01-31T07:59:59.500Z"),
    ]
    queues = [
        queue("mail", paused=True, pending=1204, due=1204, running=0, failed=0),
        queue(finish_rate=812.5, wait_secs=SPREAD, run_secs=SPREAD, ends_1m={"failed": 0.25, "retried": 0.0}),
    ]
    told = news(workers=[busy(0), busy(1), idle(2)], jobs=jobs, queues=queues)
    clock = AT.astimezone().strftime("%H:%M:%S")
    assert shown(told) == [
        f"{clock} stoker running up 3h20m, 1216 pending, 2 running, 812/s done",
        "",
        "QUEUE      PENDING  RUN OLDEST  IN/S OUT/S FAIL/S WAIT95  RUN95 FAILED NOTE",
        "mail          1204    0  5m12s   3.2     0      0                    0 paused",
        "thumbs          12    2  5m12s   3.2   812    0.2  4.2ms  4.2ms      1 2 not due",
        "",
        "POOL       STATE    SIZE BUSY IDLE    DONE CRASHES RECYCLED QUEUES",
        "thumbs     ready       4    2    2     345       1        0 thumbs",
        "",
        "WORKER       PID  RSS   FOR JOB                     PROGRESS",
        "thumbs/0    4711  15M 1m30s resize a.png #### ...... 40% page 4 of 10".replace("# .", "#."),
        "thumbs/1    4711  15M 500ms resize b.png",
        "thumbs/2    4711  15M       idle",
        *[""] * 10,
        "q quit  p freeze  j k scroll",
    ]


@pytest.mark.parametrize(
    ("limit", "note"),
    [
        ("rate", "rate"),
        ("concurrency", "concurr."),
        ("rate_per_key", "key rate"),
        ("concurrency_per_key", "key conc."),
        ("a_new_one", "a new one"),
    ],
)
def test_what_a_queue_waits_for_is_legible_in_80_columns(limit: str, note: str) -> None:
    told = news(queues=[queue(limited_by=limit, due=12, wait_secs=SPREAD, run_secs=SPREAD)])
    [row] = section(shown(told), "QUEUE")
    assert row.endswith(f" 1 {note}")


SIZES = st.tuples(st.integers(1, 200), st.integers(1, 60))
HOUSES = st.tuples(st.integers(0, 30), st.integers(0, 12), st.integers(0, 60))
RUDE = "\x1b[2J\x07\r\n\t\x9b31m\u202eevil\u2028 漢字 \ud800 e\u0301 👩‍👩‍👧"


@given(SIZES, HOUSES, st.integers(-5, 100), st.booleans(), st.sampled_from([None, "the daemon is gone", RUDE]))
def test_no_frame_is_larger_than_its_room(
    size: tuple[int, int], house: tuple[int, int, int], offset: int, frozen: bool, trouble: str | None
) -> None:
    width, height = size
    told = News(many(*house), 12.0, trouble)
    result = frame(Scene(told, offset, frozen), width, height)
    assert len(result.lines) == height
    assert all(cell_len(bare(line)) <= width for line in result.lines)
    assert bare(result.lines[0]).startswith(AT.astimezone().strftime("%H:%M:%S")[: width - 1])


@given(st.integers(1, 200), HOUSES)
def test_without_a_height_all_is_shown(width: int, house: tuple[int, int, int]) -> None:
    lines = shown(News(many(*house)), width, None)
    assert sum(line.startswith("queue-") for line in lines) == (house[0] if width >= 7 else 0)
    assert not any("q quit" in line for line in lines)
    assert all(cell_len(line) <= width for line in lines)


@given(st.text(max_size=60), SIZES)
def test_no_text_of_workers_or_clients_steers_the_terminal(text: str, size: tuple[int, int]) -> None:
    for rude in (text, RUDE, RUDE + text, "\u0301" * 5000):
        progress = {"progress": 0.5, "message": rude, "data": rude}
        told = news(
            rude,
            1.0,
            queues=[queue(rude or "q"), queue("b", limited_by=rude)],
            pools=[pool(rude or "p", queues=[rude], reason=rude or None)],
            workers=[busy(0, pool=rude or "p"), busy(1), idle(2, state=rude or "idle")],
            jobs=[running(name=rude, tags=[rude], queue=rude or "q", progress=progress)],
            unserved=[rude],
            store={"url": rude, "state": "failing", "reason": rude, "epoch": 3, "disk_free": None},
            state=rude or "running",
        )
        for height in (size[1], None):
            for line in shown(told, size[0], height):
                assert cell_len(line) <= size[0]
                assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in line)
                assert not set(line) & set("\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
                assert len(line) < 3000


def test_long_names_are_cut_with_an_ellipsis_and_wide_characters_fill_no_half_column() -> None:
    told = news(
        queues=[queue("漢" * 60)],
        pools=[pool("p" * 90)],
        workers=[busy(0, pool="p" * 90)],
        jobs=[running(name="漢" * 90)],
    )
    lines = shown(told)
    assert section(lines, "QUEUE")[0].startswith("漢漢漢漢")
    assert "…" in section(lines, "QUEUE")[0]
    assert "…" in section(lines, "POOL")[0]
    [row] = section(lines, "WORKER")
    assert row.count("…") == 2
    assert all(cell_len(line) <= 80 for line in lines)


def test_what_is_wrong_stands_below_the_first_line() -> None:
    told = news(
        "no daemon answers at /run/stoker.sock",
        72.0,
        pools=[pool(state="degraded", reason="it dies at boot\nTraceback …")],
        unserved=["mail"],
        store={"url": "x", "state": "failing", "reason": "disk full", "epoch": 1, "disk_free": None},
    )
    assert shown(told)[1:4] == [
        "nothing new for 1m12s: no daemon answers at /run/stoker.sock",
        "store failing: disk full",
        "(1 more: stoker status) pool thumbs degraded: it dies at boot Traceback …",
    ]
    assert shown(told, height=12)[1].startswith("(3 more: stoker status) nothing new for 1m12s")
    assert shown(news(unserved=["mail", "old"]))[1] == "no pool serves mail, old"


def places(result: Frame) -> list[str]:
    return [text.split()[0] for line in result.lines if (text := bare(line)).startswith("thumbs/")]


def test_workers_that_do_not_fit_are_scrolled_to() -> None:
    told = News(many(3, 1, 40))
    first = frame(Scene(told), 80, 24)
    assert places(first) == [f"thumbs/{n}" for n in range(first.page)]
    assert any(bare(line).startswith(f"WORKER 1-{first.page}/40 ") for line in first.lines)
    second = frame(Scene(told, first.page), 80, 24)
    assert places(second) == [f"thumbs/{n}" for n in range(first.page, 2 * first.page)]
    last = frame(Scene(told, 10**9), 80, 24)
    assert (places(last)[-1], last.offset, len(places(last))) == ("thumbs/39", 40 - last.page, last.page)
    fewer = frame(last_scene := Scene(News(many(3, 1, 4)), last.offset), 80, 24)
    assert (fewer.offset, len(places(fewer)), last_scene.offset) == (0, 4, last.offset)


def test_the_job_that_runs_for_longest_comes_first_and_idle_workers_last() -> None:
    workers = [
        idle(0),
        busy(1),
        worker_waiting(2),
        busy(3),
        busy(4),
    ]
    begun = {1: 5, 3: 500}
    jobs = [running(n, started_at=(AT - timedelta(seconds=secs)).isoformat()) for n, secs in begun.items()]
    rows = section(shown(news(workers=workers, jobs=jobs), width=100), "WORKER")
    assert [row.split()[0] for row in rows] == [f"thumbs/{n}" for n in (3, 1, 4, 2, 0)]
    assert "8m20s" in rows[0]
    assert job_id(4) in rows[2]  # its job is not among those that were told
    assert rows[3].endswith("waiting")


def worker_waiting(slot: int) -> dict[str, Any]:
    return idle(slot, pid=None, state="waiting", rss=None, age_secs=None)


def test_where_not_all_queues_have_room_the_busy_ones_are_shown() -> None:
    still = {"pending": 0, "running": 0, "submit_rate": 0.0, "finish_rate": 0.0}
    queues = [queue(f"a-{n}", **still) for n in range(50)] + [queue("z", pending=1)]
    rows = section(shown(news(queues=queues)), "QUEUE 1-")
    assert rows[0].startswith("z ")


def test_the_queue_of_a_job_is_told_where_its_pool_does_not_say_it() -> None:
    assert "QUEUE" not in shown(news())[9]
    lines = shown(news(jobs=[running(queue="urgent")]))
    [header] = [line for line in lines if line.startswith("WORKER")]
    assert "QUEUE" in header
    assert "urgent" in section(lines, "WORKER")[0]


def test_a_wide_terminal_shows_ids_beside_names() -> None:
    told = news(jobs=[running(name="a film", progress={"progress": 0.5, "message": "half of it"})])
    assert job_id(0) in "\n".join(shown(told, width=150))
    assert job_id(0) not in "\n".join(shown(told, width=80))
    assert "a film" in "\n".join(shown(told, width=80))


@pytest.mark.parametrize("height", range(1, 12))
def test_in_few_rows_the_workers_are_shown_before_queues_and_those_before_pools(height: int) -> None:
    text = "\n".join(shown(News(many(5, 3, 9)), 60, height))
    assert text.count("\n") == height - 1
    there = [name for name in ("WORKER", "QUEUE", "POOL") if f"\n{name}" in text]
    assert there == ["WORKER", "QUEUE", "POOL"][: len(there)]
    if height >= 6:
        assert "WORKER" in there


def test_a_frozen_frame_says_so_and_time_stands_still() -> None:
    told = news(queues=[queue(throttled_until=ago(-100))])
    assert " frozen stoker" in shown(told, frozen=True)[0]
    assert " frozen" not in shown(told)[0]
    at = snapshot(queues=[queue(throttled_until="2030-01-31T08:01:30Z")])
    assert "goes on in 1m30s" in "\n".join(shown(News(at), width=120))


def test_a_clock_that_differs_makes_no_time_negative() -> None:
    assert "  0ms " in "\n".join(shown(news(jobs=[running(started_at="2030-01-31T08:00:09Z")])))


def test_columns_of_numbers_stay_where_they_are_while_there_is_nothing_in_them() -> None:
    empty = queue(oldest_pending_secs=None, due=12)
    full = queue(wait_secs=SPREAD, run_secs=SPREAD, due=12)
    before, after = (shown(news(queues=[one], jobs=jobs)) for one, jobs in ((empty, []), (full, [running()])))
    assert before[2] == after[2]
    for lines in (before, after):
        [header] = [line for line in lines if line.startswith("WORKER")]
        assert header[24:27] == "FOR"
