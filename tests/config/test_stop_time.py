import re
from math import inf
from pathlib import Path

import pytest

from supervisor.config import stop_time
from supervisor.config.model import Config, DaemonConfig, PoolConfig, StoreConfig
from supervisor.errors import ConfigError, StartError


def config(drain: float, *graces: float) -> Config:
    pools = tuple(
        PoolConfig(name=f"p{n}", command=("x",), queues=("x",), cwd=Path("/"), kill_grace=grace)
        for n, grace in enumerate(graces)
    )
    daemon = DaemonConfig(socket=Path("/run/s"), state_dir=Path("/s"), drain_timeout=drain)
    return Config(source=Path("/etc/stoker.toml"), daemon=daemon, store=StoreConfig(), pools=pools, queues=())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("45s", 45.0),
        ("45", 45.0),
        ("1min 30s", 90.0),
        ("5ms", 0.005),
        ("1m30s", 90.0),
        ("2 minutes", 120.0),
        ("1h", 3600.0),
        ("250ms", 0.25),
        ("1.5s", 1.5),
        ("90000000us", 90.0),
        (" 45s ", 45.0),
        ("infinity", inf),
        ("0", inf),
    ],
)
def test_a_time_is_read_as_systemd_and_our_configuration_write_it(text: str, seconds: float) -> None:
    assert stop_time.parse_timespan(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "-5s", "5 parsecs", "s", "45s;", "1e3", "\u0664s"])
def test_what_is_no_time_is_refused_with_the_name_of_the_variable(text: str) -> None:
    assert stop_time.parse_timespan(text) is None
    if text:
        with pytest.raises(StartError, match=f"^STOKER_TIMEOUT_STOP: found '{re.escape(text)}', expected"):
            stop_time.take({"STOKER_TIMEOUT_STOP": text})


def test_the_variable_is_taken_out_of_the_environment() -> None:
    environ = {"STOKER_TIMEOUT_STOP": "45s", "PATH": "/bin"}
    assert stop_time.take(environ) == 45.0
    assert environ == {"PATH": "/bin"}
    assert stop_time.take(environ) is None


def test_a_stop_is_the_drain_the_longest_grace_and_two_seconds() -> None:
    assert stop_time.needed(config(25.0, 5.0, 8.0, 1.0)) == 35.0
    assert stop_time.needed(config(25.0)) == 27.0


@pytest.mark.parametrize("limit", [35.0, 100.0, inf, None])
def test_a_stop_that_fits_is_accepted_and_so_is_any_where_nothing_is_known(limit: float | None) -> None:
    stop_time.check(config(25.0, 8.0), limit)


def test_a_stop_that_does_not_fit_is_refused_in_one_sentence_that_says_what_to_do() -> None:
    with pytest.raises(ConfigError) as refused:
        stop_time.check(config(60.0, 5.0, 8.0), 45.0)
    assert refused.value.message == (
        "/etc/stoker.toml: daemon.drain_timeout: a stop may take 1m10s (drain_timeout 1m, the kill_grace of pool p1 "
        "8s, and 2s more), but systemd waits 45s: make them shorter, or the unit's TimeoutStopSec= and "
        "STOKER_TIMEOUT_STOP longer"
    )
