"""stoker restart and resize."""

import json

import pytest

from tests.cli.conftest import Run
from tests.cli.samples import pool
from tests.cli.scripted import Refuse, ScriptedDaemon


@pytest.mark.parametrize(
    ("replaced", "words"), [(4, "4 workers replaced"), (1, "1 worker replaced"), (0, "0 workers replaced")]
)
def test_restart_says_what_was_replaced(daemon: ScriptedDaemon, stoker: Run, replaced: int, words: str) -> None:
    answer = {"pool": "thumbs", "generation": 3, "replaced": replaced}
    daemon.on("restart", answer)
    result = stoker("restart", "thumbs")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"thumbs: generation 3, {words}\n", "")
    assert daemon.params("restart") == [{"pool": "thumbs"}]
    assert json.loads(stoker("restart", "thumbs", "--json").stdout) == answer


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_restart_that_fails_says_why_with_the_workers_last_words(
    daemon: ScriptedDaemon, stoker: Run, options: list[str]
) -> None:
    def fail(_: object) -> None:
        raise Refuse("restart_failed", "the new worker exited with code 1:\nTraceback …\nKeyError: 'a'\x1b")

    daemon.on("restart", fail)
    result = stoker("restart", "thumbs", *options)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "stoker: the new worker exited with code 1:\n  Traceback …\n  KeyError: 'a'\\x1b\n"


@pytest.mark.parametrize("arguments", [["restart", "thumb"], ["resize", "thumb", "2"]])
def test_a_wrong_name_is_answered_with_the_right_ones(
    daemon: ScriptedDaemon, stoker: Run, arguments: list[str]
) -> None:
    def refuse(_: object) -> None:
        raise Refuse("not_found", 'there is no pool "thumb": the configuration has mail, thumbs')

    daemon.on(arguments[0], refuse)
    result = stoker(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == 'stoker: there is no pool "thumb": the configuration has mail, thumbs\n'


@pytest.mark.parametrize(
    ("arguments", "asked", "said"),
    [
        (["4"], {"size": 4}, "thumbs: 4 workers until the daemon's next start"),
        (["6"], {"size": 6}, "thumbs: 6 workers (4 at the moment) until the daemon's next start"),
        (["1"], {"size": 1}, "thumbs: 1 worker (4 at the moment) until the daemon's next start"),
        (
            ["--min", "2", "--max", "8"],
            {"min": 2, "max": 8},
            "thumbs: 2 to 8 workers (4 at the moment) until the daemon's next start",
        ),
        (["0"], {"size": 0}, "thumbs: 0 workers (4 at the moment) until the daemon's next start; its jobs wait"),
        (
            ["--min", "0", "--max", "1"],
            {"min": 0, "max": 1},
            "thumbs: 0 to 1 workers (4 at the moment) until the daemon's next start",
        ),
    ],
)
def test_resize_says_what_holds_from_now_on(
    daemon: ScriptedDaemon, stoker: Run, arguments: list[str], asked: dict[str, int], said: str
) -> None:
    caps = {"min": asked.get("size", asked.get("min")), "max": asked.get("size", asked.get("max"))}
    daemon.on("resize", pool(**caps))
    result = stoker("resize", "thumbs", *arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{said}\n", "")
    assert daemon.params("resize") == [{"pool": "thumbs", **asked}]
    assert json.loads(stoker("resize", "thumbs", *arguments, "--json").stdout) == pool(**caps)


@pytest.mark.parametrize(
    "arguments",
    [[], ["--min", "1"], ["--max", "2"], ["3", "--max", "4"], ["3", "--min", "1", "--max", "4"], ["four"], ["2.5"]],
)
def test_resize_wants_a_size_or_both_bounds(daemon: ScriptedDaemon, stoker: Run, arguments: list[str]) -> None:
    result = stoker("resize", "thumbs", *arguments)
    assert (result.exit_code, daemon.calls) == (2, [])
    assert result.stderr.startswith("stoker: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-1"], "-1 is no number of workers: it is a whole number from 0"),
        (["-2.5"], "-2.5 is no number of workers: it is a whole number from 0"),
        (["--min", "-1", "--max", "2"], "Invalid value for '--min': -1 is not in the range x>=0."),
        (["--min", "3", "--max", "2"], "--min 3 is more than --max 2: at least so many cannot be more than at most"),
        (["x"], "Invalid value for '[SIZE]': 'x' is not a valid integer range."),
    ],
)
def test_a_size_that_cannot_be_is_a_wrong_command_line_in_any_form(
    daemon: ScriptedDaemon, stoker: Run, arguments: list[str], said: str
) -> None:
    result = stoker("resize", "thumbs", *arguments)
    assert (result.exit_code, daemon.calls) == (2, [])
    assert result.stderr.splitlines()[0] == f"stoker: {said}"
