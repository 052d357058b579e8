"""Where a process's cgroup v2 is to be seen, by what /proc says."""

from pathlib import Path

import pytest

from supervisor.pool.delegation import places

UNIFIED = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw"""
CONTAINER = "812 790 0:26 /docker/ab12 /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw"
BLANK = r"41 31 0:38 / /mnt/two\040words rw - cgroup2 none rw"
ABOVE = "41 31 0:38 /../.. /mnt/above rw - cgroup2 none rw"


@pytest.mark.parametrize(
    ("mountinfo", "own", "expected"),
    [
        (UNIFIED, "0::/system.slice/stoker.service", ["/sys/fs/cgroup/system.slice/stoker.service"]),
        (UNIFIED, "0::/", ["/sys/fs/cgroup"]),
        (HYBRID, "4:memory:/m\n0::/a", ["/sys/fs/cgroup/unified/a"]),
        (HYBRID, "4:memory:/m", []),
        (CONTAINER, "0::/docker/ab12/x", ["/sys/fs/cgroup/x"]),
        (CONTAINER, "0::/docker/ab12", ["/sys/fs/cgroup"]),
        (CONTAINER, "0::/docker/ab123", []),
        (UNIFIED, "0::/../beside", []),
        (ABOVE, "0::/a", []),
        (BLANK, "0::/a", ["/mnt/two words/a"]),
        ("", "0::/a", []),
    ],
)
def test_a_cgroup_is_found_where_a_mount_shows_it(mountinfo: str, own: str, expected: list[str]) -> None:
    assert [str(place.folder) for place in places(mountinfo, own)] == expected


def test_the_mount_point_is_told_as_well() -> None:
    assert [place.mount for place in places(HYBRID, "0::/a/b")] == [Path("/sys/fs/cgroup/unified")]
