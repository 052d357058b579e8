"""What a new configuration changes."""

from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config.changes import LIVE_IN_DAEMON, LIVE_IN_POOLS, LIVE_IN_STORE, compare
from supervisor.config.model import Config, DaemonConfig, PoolConfig, QueueConfig, Rate, Retention, StoreConfig


def pool(name: str, **settings: Any) -> PoolConfig:
    return PoolConfig(name=name, **{"command": ("true",), "queues": (name,), "cwd": Path("/"), **settings})


def config(*pools: PoolConfig, queues: tuple[QueueConfig, ...] = (), **settings: Any) -> Config:
    daemon = DaemonConfig(socket=Path("/s"), state_dir=Path("/"), **settings)
    return Config(source=Path("/c"), daemon=daemon, store=StoreConfig(), pools=pools, queues=queues)


POOLS = st.builds(
    pool,
    st.sampled_from("abc"),
    min=st.integers(0, 2),
    max=st.integers(2, 3),
    timeout=st.sampled_from([1.0, 2.0]),
    nice=st.sampled_from([None, 1]),
    env=st.sampled_from([(), (("A", "1"),)]),
)
QUEUES = st.builds(
    QueueConfig,
    name=st.sampled_from("abc"),
    max_attempts=st.integers(1, 2),
    rate=st.sampled_from([None, Rate(count=1, period=1)]),
)
CONFIGS = st.builds(
    lambda pools, queues, **settings: config(*pools, queues=tuple(queues), **settings),
    st.lists(POOLS, unique_by=lambda one: one.name),
    st.lists(QUEUES, unique_by=lambda one: one.name),
    drain_timeout=st.sampled_from([1.0, 2.0]),
    log_format=st.sampled_from(["auto", "json"]),
)


@given(CONFIGS)
def test_nothing_changes_into_itself(one: Config) -> None:
    assert not compare(one, one)


@given(CONFIGS, CONFIGS)
def test_every_pool_and_queue_of_either_is_in_one_place_or_as_it_was(old: Config, new: Config) -> None:
    changes = compare(old, new)
    for kind in ("pools", "queues"):
        before = {one.name: one for one in getattr(old, kind)}
        after = {one.name: one for one in getattr(new, kind)}
        told = [
            name
            for fields in ("added", "removed", "restarted", "changed")
            for name in getattr(changes, f"{kind}_{fields}", ())
        ]
        assert len(told) == len({*told})
        assert {*told} == {name for name in {*before, *after} if before.get(name) != after.get(name)}
        assert {*getattr(changes, f"{kind}_added")} == {*after} - {*before}
        assert {*getattr(changes, f"{kind}_removed")} == {*before} - {*after}
    for name in changes.pools_restarted:
        was, is_ = ({one.name: one for one in side.pools}[name] for side in (old, new))
        assert (was.nice, was.env) != (is_.nice, is_.env)


@given(CONFIGS, CONFIGS)
def test_back_again_the_same_is_touched(old: Config, new: Config) -> None:
    there, back = compare(old, new), compare(new, old)
    assert {*there.pools_added} == {*back.pools_removed}
    assert {*there.pools_restarted} == {*back.pools_restarted}
    assert {*there.pools_changed} == {*back.pools_changed}
    assert {*there.queues_changed} == {*back.queues_changed}
    assert (there.settings, there.need_start) == (back.settings, back.need_start)


def test_a_worker_is_replaced_for_what_it_was_started_with_and_for_nothing_else() -> None:
    other: dict[str, Any] = {
        "min": 0, "max": 9, "grow_after": 9.0, "shrink_after": 9.0, "queues": ("p", "q"), "order": "strict",
        "weight": (("p", 2),), "reserve": (("p", 1),), "timeout": 9.0,
        "command": ("false",), "channel": "fd", "ready": True, "require_id": True, "boot_timeout": 9.0,
        "kill_grace": 9.0, "max_line": 9, "cwd": Path("/tmp"), "env": (("A", "1"),), "env_files": (Path("/e"),),
        "clear_env": True, "user": "u", "group": "g", "nice": 9, "umask": 9, "rlimits": (("nofile", 9),),
        "cpu_affinity": (frozenset({0}),), "max_jobs": 9, "max_age": 9.0, "max_idle": 9.0, "max_rss": 9,
        "recycle_jitter": 0.0, "memory_limit": 9,
    }  # fmt: skip
    assert {*other} == {*PoolConfig.__struct_fields__} - {"name"}
    for key, value in other.items():
        changes = compare(config(pool("p")), config(pool("p", **{key: value})))
        assert changes.pools_changed == (("p",) if key in LIVE_IN_POOLS else ()), key
        assert changes.pools_restarted == (() if key in LIVE_IN_POOLS else ("p",)), key


def test_what_only_a_start_can_change_is_named_by_its_key_path() -> None:
    one = config(pool("p"))
    for section, live in (("daemon", LIVE_IN_DAEMON), ("store", LIVE_IN_STORE)):
        before = getattr(one, section)
        for key in before.__struct_fields__:
            other = msgspec.structs.replace(one, **{section: msgspec.structs.replace(before, **{key: "other"})})
            changes = compare(one, other)
            path = (f"{section}.{key}",)
            assert (changes.settings, changes.need_start) == ((path, ()) if key in live else ((), path))


def test_all_of_retention_changes_at_once() -> None:
    one = config(pool("p"))
    other = msgspec.structs.replace(one, retention=Retention(done=1.0, max_failed=3))
    assert compare(one, other).settings == ("retention.done", "retention.max_failed")
