"""What does not load, and the words for it."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.config import log_kinds, places, sections
from supervisor.config.load import load
from supervisor.config.model import Config
from supervisor.errors import ConfigError

Loaded = Callable[[str], Config]
Problems = Callable[[str], dict[str, str]]
MINIMAL = '[pools.x]\ncommand = ["sh"]\n'


def test_every_problem_is_told_in_one_go(problems: Problems) -> None:
    found = problems("""
        colour = "red"
        [daemon]
        sokcet = "/x"
        socket_mode = 660
        drain_timeout = "5 parsecs"
        log_level = "loud"
        max_jobs = 0
        [store]
        url = "postgres://x"
        [pools.x]
        size = 1001
        cwd = "gone"
        [pools.y]
        command = ["nosuch-program"]
        queues = []
        [queues.q.backoff]
        jitter = 2
        """)
    assert list(found) == [  # in the order of the file's sections
        "colour",
        "daemon.sokcet",
        "daemon.socket_mode",
        "daemon.drain_timeout",
        "daemon.log_level",
        "daemon.max_jobs",
        "store.url",
        "pools.x.size",
        "pools.x.cwd",
        "pools.x.command",
        "pools.y.queues",
        "pools.y.command",
        "queues.q.backoff.jitter",
    ]


def test_the_message_names_file_key_path_what_was_found_and_what_was_expected(loaded: Loaded, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(MINIMAL + "size = 0\ntimeout = true\n")
    size, timeout = caught.value.message.splitlines()
    assert size == f"{tmp_path}/stoker.toml: pools.x.size: found 0, expected a whole number from 1 to 1000"
    assert timeout.startswith(f"{tmp_path}/stoker.toml: pools.x.timeout: found true, expected a duration such as ")
    assert timeout.endswith(", from 1ms to 365d")


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("[daemon]\nsokcet = 1", "daemon.sokcet", 'did you mean "socket"?'),
        ("[deamon]\n", "deamon", 'did you mean "daemon"?'),
        ("[pool.y]\n", "pool", 'did you mean "pools"?'),
        (MINIMAL + "sizes = 1", "pools.x.sizes", 'did you mean "size"?'),
        (MINIMAL + "max_attempts = 1", "pools.x.max_attempts", "it belongs in [queues.NAME]"),
        (MINIMAL + "nofile = 1", "pools.x.nofile", "it belongs in [pools.NAME.rlimits]"),
        (MINIMAL + "rlimits.max_rss = 1", "pools.x.rlimits.max_rss", "it belongs in [pools.NAME]"),
        (MINIMAL + "rlimits.rss = 1", "pools.x.rlimits.rss", "expected one of nofile, nproc, "),
        (MINIMAL + "env_files = []", "pools.x.env_files", 'did you mean "env_file"?'),
        ("[queues.x]\nmax_jobs = 1", "queues.x.max_jobs", "it belongs in [daemon] or [pools.NAME]"),
        ("[queues.x]\ntimeout = 1", "queues.x.timeout", "it belongs in [pools.NAME]"),
        ("[queues.x]\njitter = 1", "queues.x.jitter", "it belongs in [queues.NAME.backoff]"),
        ("[store]\nzzz = 1", "store.zzz", "expected one of url"),
    ],
)
def test_an_unknown_key_is_an_error_with_a_way_out(problems: Problems, text: str, key: str, hint: str) -> None:
    found = problems(text)[key]
    assert found.startswith("unknown key")
    assert hint in found


DAEMON, POOL, QUEUE, BACKOFF = "[daemon]\n", MINIMAL, "[queues.x]\n", "[queues.x.backoff]\n"


@pytest.mark.parametrize(
    ("section", "key", "values"),
    [
        (DAEMON, "socket", ["3", '""', '"a\\u0000b"', "[]", "{}", f'"/{"x" * 107}"']),
        (DAEMON, "socket_mode", ["660", '"66"', '"888"', '"0066"', '"rw"', '"00660"']),
        (DAEMON, "state_dir", ["3", '""', "true"]),
        (DAEMON, "cgroup", ["true", '"on"', '"stoker"', '"/nonexistent"', '"/tmp"', "3", "[]"]),
        (DAEMON, "drain_timeout", ['"x"', "-1", '"2d"', "nan", "inf", "true", "1979-05-27", "1" + "0" * 400]),
        (DAEMON, "log_level", ['"loud"', "3", '"INFO"']),
        (DAEMON, "log_format", ['"xml"', "[]"]),
        (DAEMON, "log_jobs", ['"some"', "true"]),
        (DAEMON, "max_connections", ["0", "-1", "1.0", '"5"', "true", "100_001"]),
        (DAEMON, "max_outstanding", ["0", "false"]),
        (DAEMON, "max_line", ["10", '"1GiB"', "1048576.0", '"1 line"', "true", "0x" + "f" * 5000]),
        (DAEMON, "max_jobs", ["0", "1_000_001"]),
        (
            "[store]\n",
            "url",
            ['"postgres://h/d"', '"sqlite:"', '"sqlite::memory:"', '"sqlite:dir/"', '"stoker.db"', "3"],
        ),
        ("[pools.x]\n", "command", ["[]", '"sh"', "[3]", '[""]', '["nosuch-program"]', '["/nosuch"]', '["/tmp"]']),
        (POOL, "size", ["0", "1001", "1.0", '"4"', "true"]),
        (POOL, "min", ["-1", "1001", '"2"', "true", "1"]),  # 1: without max
        (POOL, "max", ["0", "1001", "1.5"]),
        (POOL, "grow_after", ["-1", '"2d"', '"soon"']),
        (POOL, "shrink_after", ["0", '"366d"']),
        (POOL, "channel", ['"stdin"', "3", '"FD"']),
        (POOL, "ready", ['"true"', "1", "[]"]),
        (POOL, "require_id", ['"yes"', "0"]),
        (POOL, "clear_env", ['"on"', "{}"]),
        (POOL, "queues", ["[]", '"x"', '["x", "x"]']),
        (POOL, "cwd", ['"gone"', '"stoker.toml"', "3", f'"{"x" * 5000}"']),
        (POOL, "env", ["[]", '"A=1"', "3"]),
        (POOL, "env_file", ["3", '"gone.env"', '["stoker.toml"]', '[""]', "[[]]", "{}", '"/"']),
        (POOL, "user", ['"nosuch-account"', '""', "-1", "true", "4294967295", "[]", "4294967000", '"a\\u0000b"']),
        (POOL, "group", ['"nosuch-account"', '""', "-1", "1.0", "4294967295", "{}"]),
        (POOL, "nice", ["-21", "20", '"5"', "true"]),
        (POOL, "umask", ["27", '"27"', '"0088"', '"u=rwx"', "true"]),
        (POOL, "cpu_affinity", ['"0"', "[0]", '[""]', '["a"]', '["0-"]', '["3-2"]', '["9999"]', '["0,,1"]', '["٣"]']),
        (POOL, "rlimits", ["3", '"nofile=1"', "[]"]),
        (POOL, "rlimits.nofile", ["-1", '"1KiB"', "1.0", '"none"', "true", '"unlimited"', "2147483648"]),
        (POOL, "rlimits.core", ["-1", "1.5", '"1 page"', '"9999999TiB"', "9223372036854775808", '"0.5B"']),
        (POOL, "rlimits.cpu", ["-1", '"1500ms"', '"1KiB"', "nan"]),
        (POOL, "max_jobs", ["0", '"1000"', "1.0"]),
        (POOL, "max_age", ["0", '"2 lifetimes"', '"366d"']),
        (POOL, "max_idle", ["0", "true"]),
        (POOL, "max_rss", ["1000", '"1023KiB"', '"1025TiB"', '"1GiB per worker"']),
        (POOL, "recycle_jitter", ["-0.1", "1", '"10%"']),
        (POOL, "memory_limit", ["0", '"1023KiB"', '"half"']),
        (POOL, "timeout", ["0", '"0s"', "-1", '"366d"', "nan", "false"]),
        (POOL, "boot_timeout", ["0", '"0ms"', '"2d"']),
        (POOL, "kill_grace", ["-1", '"2h"']),
        (POOL, "max_line", ["1", '"600MiB"']),
        (QUEUE, "max_attempts", ["0", "1.5", "10_001"]),
        (QUEUE, "max_crashes", ["0", '"3"']),
        (QUEUE, "max_payload", ["0", '"-1MiB"', '"16MiB"', '"0.3B"']),
        (QUEUE, "events", ["0", '"off"', "[]"]),
        ("[store]\n", "events_max_age", ['"0s"', "-1", '"always"', "true"]),
        ("[store]\n", "events_max_count", ["0", "1.5", '"1MiB"']),
        (QUEUE, "backoff", ["3", '"2s"', "[]", "[[1]]", '["1s", "soon"]', '["1s", -1]', "true", f"[{'1,' * 101}]"]),
        (QUEUE, "backoff", ["{ delays = [1], base = 1 }", "{ delays = [] }", "{ delays = [1], jitter = 2 }"]),
        (QUEUE, "on_daemon_crash", ['"ignore"', "true", '"Fail"']),
        (BACKOFF, "delays", ["[]", '"1s"', '["366d"]', "1"]),
        (
            QUEUE,
            "rate",
            ["100", '"100"', '"0/s"', '"1/0s"', '"100/60"', '"a/s"', '"1.5/s"', '"1/366d"', "[]"],
        ),
        (QUEUE, "burst", ["0", '"10"', "1.5", "7"]),  # the last for want of a rate
        (QUEUE, "concurrency", ["0", '"5"', "true"]),
        (QUEUE, "rate_per_key", ["10", '"0/s"', '"10"']),
        (QUEUE, "burst_per_key", ["0", '"10"', "7"]),  # the last for want of a rate_per_key
        (QUEUE, "concurrency_per_key", ["0", '"5"', "1.5"]),
        (BACKOFF, "base", ["-1", '"11m"', '"soon"']),
        (BACKOFF, "factor", ["0.5", '"2"', "101", "nan", "true"]),
        (BACKOFF, "cap", ["1", '"366d"']),
        (BACKOFF, "jitter", ["-0.1", "1.1", '"10%"', "nan"]),
    ],
)
def test_a_value_that_does_not_fit_is_refused(loaded: Loaded, section: str, key: str, values: list[str]) -> None:
    for value in values:
        text = f"{section}{key} = {value}\n" + ("" if "pools" in section else MINIMAL)
        with pytest.raises(ConfigError) as caught:
            loaded(text)
        [(where, message)] = caught.value.problems
        # A cap below the base is told at the base, which is what has to give way.
        assert key in where or (key == "cap" and where.endswith(".base"))
        assert message.startswith("found ") or " expected " in message


def test_a_default_is_as_good_as_saying_it(loaded: Loaded) -> None:
    """A small max_line does not make the default max_payload, which nobody wrote, an error."""
    assert loaded('[daemon]\nmax_line = "64KiB"\n' + MINIMAL).daemon.max_line == 65536


@pytest.mark.parametrize("name", ["a b", "ü", "a/b", "", "x" * 101, "a\\n"])
@pytest.mark.parametrize("header", ["pools", "queues"])
def test_a_name_with_other_characters_is_refused(loaded: Loaded, header: str, name: str) -> None:
    body = 'command = ["sh"]' if header == "pools" else ""
    with pytest.raises(ConfigError, match="expected a name of 1 to 100 letters"):
        loaded(f'{MINIMAL}\n[{header}."{name}"]\n{body}')


def test_a_wrong_queue_name_is_told_with_its_place_in_the_list(problems: Problems) -> None:
    assert list(problems(MINIMAL + 'queues = ["ok", "not ok", 3]')) == ["pools.x.queues[1]", "pools.x.queues[2]"]


def test_a_queue_named_twice_is_named(problems: Problems) -> None:
    assert '"a" more than once' in problems(MINIMAL + 'queues = ["a", "b", "a"]')["pools.x.queues"]


def test_each_bad_variable_is_told(problems: Problems) -> None:
    found = problems(MINIMAL + 'env = {STOKER_SLOT = "1", N = 1, "A=B" = "x", GOOD = "x", "" = "x"}')
    assert list(found) == ["pools.x.env.STOKER_SLOT", "pools.x.env.N", 'pools.x.env."A=…"', 'pools.x.env.""']
    assert "STOKER_" in found["pools.x.env.STOKER_SLOT"]


def test_a_pool_without_a_command_is_told_what_one_looks_like(problems: Problems) -> None:
    assert '["python3", "worker.py"]' in problems("[pools.x]\nsize = 1")["pools.x.command"]


@pytest.mark.parametrize("text", ["", "[pools]\n", "[queues.x]\n"])
def test_a_file_without_pools_is_refused(problems: Problems, text: str) -> None:
    assert "found no pool" in problems(text)["pools"]


@pytest.mark.parametrize("text", ["pools = 3", "[[pools]]\n", "pools.x = 3"])
def test_something_else_in_the_place_of_pools_is_refused(problems: Problems, text: str) -> None:
    assert "[pools.NAME]" in "".join(problems(text).values())


def test_a_file_that_may_not_be_executed_is_no_program(problems: Problems, tmp_path: Path) -> None:
    (tmp_path / "worker").write_text("")
    assert "is not an executable file" in problems('[pools.x]\ncommand = ["./worker"]')["pools.x.command"]


def test_a_wrong_cwd_is_one_problem_and_not_two(problems: Problems) -> None:
    assert list(problems('[pools.x]\ncommand = ["./worker"]\ncwd = "gone"')) == ["pools.x.cwd"]


def test_a_payload_that_no_request_could_carry_is_refused(problems: Problems) -> None:
    found = problems(MINIMAL + '[daemon]\nmax_line = "1MiB"\n[queues.x]\nmax_payload = "1MiB"')
    assert "less than daemon.max_line (1MiB)" in found["queues.x.max_payload"]


def test_a_default_socket_over_the_systems_limit_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "stoker.toml"
    file.write_text(MINIMAL)
    with pytest.raises(ConfigError, match=r"daemon\.socket: found /.* of 118 bytes, expected at most 107"):
        load(file, environ={"XDG_RUNTIME_DIR": "/" + "r" * 105, "PATH": "/bin"}, is_root=False)


def test_a_private_folder_that_is_not_ours_is_a_problem_of_the_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = tmp_path / "stoker-1"
    taken.mkdir()
    taken.chmod(0o777)
    monkeypatch.setattr(places, "private_folder", lambda: taken)
    file = tmp_path / "stoker.toml"
    file.write_text(MINIMAL + "size = 0")
    with pytest.raises(ConfigError) as caught:
        load(file, environ={"PATH": "/bin"}, is_root=False)
    assert [where for where, _ in caught.value.problems] == ["daemon.socket", "pools.x.size"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a = 1\nb = \n", "line 2, column 5: not valid TOML: "),
        ('a = "x', "end of the file: not valid TOML: "),
        ("[pools.x]\n[pools.x]\n", "line 2, column 9: not valid TOML: "),
        ("a = " + "1" * 5000, "not valid TOML: "),
        ("a = " + "[" * 5000 + "]" * 5000, "not valid TOML: "),
    ],
)
def test_a_syntax_error_has_its_line_and_column(problems: Problems, text: str, place: str) -> None:
    assert problems(text)[""].startswith(place)


def test_bytes_that_are_not_utf8_have_their_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "stoker.toml"
    file.write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(ConfigError, match="line 2, column 6: found a byte that is not UTF-8"):
        load(file, environ={}, is_root=True)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: cannot be read: No such file"):
        load(tmp_path / "gone.toml", environ={}, is_root=True)


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, environ={}, is_root=True)


VALUES = st.sampled_from(
    [
        "0",
        "-1",
        "true",
        "nan",
        "1.5",
        '""',
        '"x"',
        '"1s"',
        '"1MiB"',
        "[]",
        '["sh"]',
        "{}",
        '{a = "b"}',
        '{TOKEN = "x"}',
        "{nofile = 64}",
        '"unlimited"',
        '"0027"',
        '"root"',
        '"fd"',
        '"off"',
        '"./stoker.toml"',
        "5",
        '["0-0", "0"]',
        "12:00:00",
        "[[1]]",
    ]
)
TABLES = [
    "daemon",
    "store",
    "pools",
    "pools.x",
    "pools.x.env",
    "pools.x.rlimits",
    "queues",
    "queues.x",
    "queues.x.backoff",
]
FIELDS = [
    "daemon.socket",
    "daemon.max_line",
    "store.url",
    "pools.x.command",
    "pools.x.queues",
    "pools.x.cwd",
    "queues.x.max_payload",
    "daemon.cgroup",
    *(f"pools.x.{key}" for key in sections.POOL.keys if key not in ("command", "queues", "cwd", "env", "rlimits")),
    *(f"pools.x.rlimits.{key}" for key in ("nofile", "core", "cpu", "rss")),
    "x",
]
KEYS = st.sampled_from([*TABLES, *FIELDS, '""'])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_toml_loads_or_is_refused(loaded: Loaded, entries: dict[str, str]) -> None:
    text = "".join(f"{key} = {value}\n" for key, value in entries.items())
    with suppress(ConfigError):
        loaded(text)


def test_a_log_in_the_journal_needs_a_journald(
    problems: Problems, loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f'{MINIMAL}[daemon]\nlog_format = "journal"\n'
    monkeypatch.setattr(log_kinds, "JOURNAL_SOCKET", str(tmp_path / "socket"))
    assert problems(text)["daemon.log_format"] == (
        f'found "journal", expected "auto", "console" or "json", since {tmp_path}/socket is not there: no journald runs'
    )
    (tmp_path / "socket").touch()
    assert loaded(text).daemon.log_format == "journal"
