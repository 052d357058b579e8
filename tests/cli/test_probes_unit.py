from pathlib import Path

import pytest

from supervisor.cli.probes_unit import judge, stop_time
from supervisor.config.model import Config, DaemonConfig, StoreConfig

CONFIG = Config(
    source=Path("/stoker.toml"),
    daemon=DaemonConfig(socket=Path("/s"), state_dir=Path("/")),
    store=StoreConfig(),
    pools=(),
    queues=(),
)


@pytest.mark.parametrize(
    ("shown", "level", "end"),
    [
        ({"TimeoutStopUSec": "45s", "Environment": "STOKER_TIMEOUT_STOP=45s"}, "ok", "systemd waits 45s"),
        ({"TimeoutStopUSec": "45s", "Environment": ""}, "ok", "systemd waits 45s"),
        ({"TimeoutStopUSec": "infinity"}, "ok", "systemd waits for ever"),
        ({"TimeoutStopUSec": "1min 30s", "Environment": 'A=1 "STOKER_TIMEOUT_STOP=90 s"'}, "ok", "waits 1m30s"),
        (
            {"TimeoutStopUSec": "1min 30s", "Environment": "STOKER_TIMEOUT_STOP=45s PYTHONPATH=/x"},
            "warn",
            "systemd waits 1m30s, but STOKER_TIMEOUT_STOP says 45s",
        ),
        ({"TimeoutStopUSec": "5s", "Environment": "STOKER_TIMEOUT_STOP=45s"}, "fail", "systemd waits 5s"),
    ],
)
def test_the_units_patience_is_held_against_what_a_stop_takes_and_what_the_daemon_was_told(
    shown: dict[str, str], level: str, end: str
) -> None:
    finding = judge("stoker.service", shown, 32.0)
    assert (finding.check, finding.level) == ("stop time", level)
    assert finding.found.startswith("stoker.service: a stop may take 32s, and ")
    assert finding.found.endswith(end)
    assert bool(finding.remedy) == (level != "ok")


@pytest.mark.parametrize("pid", [None, "x", 0, 2**30])
def test_a_daemon_that_no_systemd_runs_is_asked_nothing(pid: object) -> None:
    assert list(stop_time(pid, CONFIG)) == []
