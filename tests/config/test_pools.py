"""What the keys of a pool mean together: its size, its memory, and where its program is looked for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.config.load import load
from supervisor.config.model import Config
from supervisor.config.quantities import DURATION_FORM
from supervisor.errors import ConfigError

Loaded = Callable[[str], Config]
Problems = Callable[[str], dict[str, str]]
MINIMAL = '[pools.x]\ncommand = ["sh"]\n'


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("", 1, 1),
        ("size = 4", 4, 4),
        ("min = 2\nmax = 8", 2, 8),
        ("min = 3\nmax = 3", 3, 3),
        ("min = 0\nmax = 8", 0, 8),
        ("max = 8", 1, 8),
    ],
)
def test_a_pool_has_from_min_to_max_workers(loaded: Loaded, text: str, low: int, high: int) -> None:
    pool = loaded(MINIMAL + text).pools[0]
    assert (pool.min, pool.max) == (low, high)


@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        ("size = 1\nmin = 1\nmax = 2", "size", "found together with min and max, expected size alone, or min and max"),
        ("max = 2\nsize = 2", "size", "found together with max, expected size alone, or min and max"),
        ("size = 2\nmin = 0", "size", "found together with min, expected size alone, or min and max"),
        ("min = 1", "min", "found without max, expected both, or size for a fixed number"),
        ("min = 3\nmax = 2", "min", "found 3, expected at most max, which is 2"),
        ("min = 3\nmax = 0", "max", "found 0, expected a whole number from 1 to 1000"),
        ("min = -3\nmax = 2", "min", "found -3, expected a whole number from 0 to 1000"),
        ("size = 0\nmax = 2", "size", "found 0, expected a whole number from 1 to 1000"),
        (
            "size = 2\ngrow_after = 1",
            "grow_after",
            "found where size is fixed at 2, expected min and max in place of size: it has no effect",
        ),
        (
            'shrink_after = "2m"',
            "shrink_after",
            "found where without max the size is fixed at 1, expected min and max in place of size: it has no effect",
        ),
        ("max_age = 0.9", "max_age", f"found 0.9, expected {DURATION_FORM}, from 1s to 365d"),
        ("max_idle = 0.9", "max_idle", f"found 0.9, expected {DURATION_FORM}, from 1s to 365d"),
        (
            'max_rss = "2MiB"\nmemory_limit = "2MiB"',
            "max_rss",
            "found 2MiB, expected less than memory_limit (2MiB): it would be killed before it is replaced",
        ),
    ],
)
def test_keys_that_contradict_each_other_are_one_problem(problems: Problems, text: str, key: str, problem: str) -> None:
    assert problems(MINIMAL + text) == {f"pools.x.{key}": problem}


def test_a_worker_may_be_replaced_a_byte_before_it_is_killed(loaded: Loaded) -> None:
    pool = loaded(MINIMAL + 'max_rss = 2097151\nmemory_limit = "2MiB"').pools[0]
    assert (pool.max_rss, pool.memory_limit) == (2097151, 2097152)


def test_what_a_pool_contradicts_is_told_beside_a_missing_command(problems: Problems) -> None:
    assert list(problems("[pools.x]\nsize = 1\nmax = 2")) == ["pools.x.command", "pools.x.size"]


def program(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file


def test_a_program_with_a_slash_counts_from_cwd(loaded: Loaded, tmp_path: Path) -> None:
    program(tmp_path / "work/bin/worker")
    assert loaded('[pools.x]\ncommand = ["bin/worker"]\ncwd = "work"').pools[0].command == ("bin/worker",)
    with pytest.raises(ConfigError, match="does not exist"):
        loaded('[pools.x]\ncommand = ["bin/worker"]')


def test_a_program_is_looked_for_on_the_path_of_the_daemon(problems: Problems) -> None:
    found = problems('[pools.x]\ncommand = ["strange-worker"]')["pools.x.command"]
    assert found == (
        'found "strange-worker", expected a program: none of that name is on the PATH, which is /usr/bin:/bin'
    )


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        ('["python3 worker.py"]', '; write one list element for each word: ["python3", "worker.py"]'),
        ('["./no worker"]', '; write one list element for each word: ["./no", "worker"]'),
        ('["strange-worker"]', ""),
        ('["strange worker", "x"]', ""),
    ],
)
def test_a_command_line_in_one_word_is_told_how_to_write_it(problems: Problems, command: str, hint: str) -> None:
    found = problems(f"[pools.x]\ncommand = {command}")["pools.x.command"]
    assert found.partition("; ")[1:] == hint.partition("; ")[1:]


def test_a_program_whose_name_has_a_blank_is_one(loaded: Loaded, tmp_path: Path) -> None:
    program(tmp_path / "my worker")
    assert loaded('[pools.x]\ncommand = ["./my worker"]').pools


def test_the_path_in_env_wins_over_the_daemons(loaded: Loaded, problems: Problems, tmp_path: Path) -> None:
    program(tmp_path / "opt/strange-worker")
    assert loaded(f'[pools.x]\ncommand = ["strange-worker"]\nenv = {{PATH = "{tmp_path}/opt"}}').pools
    found = problems('[pools.x]\ncommand = ["sh"]\nenv = {PATH = "/nowhere"}')
    assert found == {
        "pools.x.command": 'found "sh", expected a program: none of that name is on the PATH that its env sets'
    }


def test_the_path_in_an_env_file_wins_over_the_daemons_and_the_later_file_over_the_earlier(
    loaded: Loaded, problems: Problems, tmp_path: Path
) -> None:
    program(tmp_path / "opt/strange-worker")
    (tmp_path / "good.env").write_text(f"PATH=/nowhere\nPATH={tmp_path}/opt\n")
    (tmp_path / "bad.env").write_text("PATH=/nowhere")
    (tmp_path / "other.env").write_text("TOKEN=1")
    worker = '[pools.x]\ncommand = ["strange-worker"]\n'
    assert loaded(worker + 'env_file = ["bad.env", "good.env", "other.env"]').pools
    assert loaded(worker + f'env_file = "bad.env"\nenv = {{PATH = "{tmp_path}/opt"}}').pools
    found = problems(worker + 'env_file = ["good.env", "bad.env"]')["pools.x.command"]
    assert found.endswith(f"none of that name is on the PATH that {tmp_path}/bad.env sets")


def test_an_emptied_environment_keeps_the_daemons_path(loaded: Loaded) -> None:
    assert loaded(MINIMAL + "clear_env = true").pools[0].clear_env


def test_a_relative_entry_of_the_path_counts_from_cwd(loaded: Loaded, tmp_path: Path) -> None:
    program(tmp_path / "work/bin/strange-worker")
    assert loaded('[pools.x]\ncommand = ["strange-worker"]\ncwd = "work"\nenv = {PATH = "bin"}').pools


def test_without_any_path_the_systems_own_is_searched(tmp_path: Path) -> None:
    file = tmp_path / "stoker.toml"
    file.write_text(MINIMAL)
    assert load(file, environ={}, is_root=True).pools


def test_a_wrong_env_file_is_one_problem_and_not_two(problems: Problems) -> None:
    assert list(problems('[pools.x]\ncommand = ["strange-worker"]\nenv_file = "gone.env"')) == ["pools.x.env_file"]


def test_what_is_said_of_shares_is_kept_and_the_rest_is_even(loaded: Loaded) -> None:
    even, said = loaded(
        '[pools.x]\ncommand = ["sh"]\nqueues = ["a", "b"]\n'
        '[pools.y]\ncommand = ["sh"]\nsize = 3\nqueues = ["c", "d"]\nweight = { c = 3 }\nreserve = { d = 2 }\n'
    ).pools
    assert (even.order, even.weight, even.reserve) == ("weight", (), ())
    assert (said.order, said.weight, said.reserve) == ("weight", (("c", 3),), (("d", 2),))


@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        ('order = "fifo"', "order", 'found "fifo", expected one of "weight", "strict"'),
        (
            "weight = 3",
            "weight",
            "found 3, expected a table of queues, each with a whole number, such as { urgent = 3 }",
        ),
        ("weight = { a = 0 }", "weight.a", "found 0, expected a whole number from 1 to 1000"),
        ("weight = { c = 2 }", "weight.c", 'found a queue that the pool does not serve, expected one of "a", "b"'),
        (
            'reserve = { "c:d" = 1 }',
            'reserve."c:d"',
            'found a queue that the pool does not serve, expected one of "a", "b"',
        ),
        (
            'order = "strict"\nweight = { a = 2 }',
            "weight",
            'found where order is "strict", expected order = "weight": it has no effect',
        ),
        ("reserve = { a = 2 }", "reserve", "found 2 workers in all, expected at most the pool's 1"),
        (
            "size = 2\nreserve = { a = 2 }",
            "reserve",
            'found all of the pool\'s 2 workers, expected fewer: nothing would be left for "b"',
        ),
        (
            "reserve = { a = 1 }",
            "reserve",
            'found the pool\'s only worker, expected fewer: nothing would be left for "b"',
        ),
        ("max = 3\nreserve = { a = 2, b = 2 }", "reserve", "found 4 workers in all, expected at most the pool's 3"),
    ],
)
def test_what_cannot_be_shared_so_is_refused(problems: Problems, text: str, key: str, problem: str) -> None:
    assert problems(f'{MINIMAL}queues = ["a", "b"]\n{text}') == {f"pools.x.{key}": problem}


@pytest.mark.parametrize("key", ["weight", "reserve"])
def test_shares_of_a_single_queue_are_refused(problems: Problems, key: str) -> None:
    assert problems(f"{MINIMAL}size = 2\n{key} = {{ x = 1 }}") == {
        f"pools.x.{key}": "found where the pool has one queue only, expected several in queues: it has no effect"
    }


def test_every_worker_may_be_reserved_when_every_queue_has_some(loaded: Loaded) -> None:
    [pool] = loaded(f'{MINIMAL}size = 3\nqueues = ["a", "b"]\nreserve = {{ a = 2, b = 1 }}').pools
    assert pool.reserve == (("a", 2), ("b", 1))


def test_a_wrong_size_is_not_blamed_on_what_is_reserved(problems: Problems) -> None:
    found = problems(f'{MINIMAL}size = 0\nqueues = ["a", "b"]\nreserve = {{ a = 2 }}')
    assert list(found) == ["pools.x.size"]
