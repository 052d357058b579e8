"""What stoker reload says. Against a real daemon: tests/e2e/test_reload.py."""

from supervisor.cli.reload import _report

NOTHING: dict[str, object] = {
    "config": "/etc/stoker.toml", "pools_added": [], "pools_removed": [], "pools_restarted": [], "pools_changed": [],
    "queues_added": [], "queues_removed": [], "queues_changed": [], "settings": [],
}  # fmt: skip


def test_each_kind_of_change_is_a_line_with_its_names() -> None:
    assert _report(
        {**NOTHING, "pools_restarted": ["a"], "queues_changed": ["b", "c"], "settings": ["daemon.max_jobs"]}
    ) == [
        "pool a restarted with new workers",
        "queues b, c changed",
        "changed: daemon.max_jobs",
    ]


def test_a_file_that_is_as_it_was_is_said_to_be() -> None:
    assert _report(NOTHING) == ["nothing has changed in /etc/stoker.toml"]
