"""The kernel's count of out-of-memory kills, from the closest counter there is."""

from pathlib import Path

import pytest

from theater_supervisor.process.out_of_memory import OutOfMemoryCounter

VMSTAT = "nr_free_pages 12\noom_kill 7\n"
V1 = "12:cpu:/a\n4:memory:/box/one\n0::/\n"
V2 = "0::/box/two\n"


@pytest.mark.parametrize(
    ("membership", "file", "text", "count"),
    [
        (V2, "box/two/memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 9\n", 2),
        (V1, "memory/box/one/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n", 5),
        (V2, "box/other/memory.events", "oom_kill 2\n", 7),
        (V2, "box/two/memory.events", "nothing of the kind\n", 7),
        ("", "box/two/memory.events", "oom_kill 2\n", 7),
    ],
    ids=["cgroup v2", "cgroup v1", "no such group", "no such counter", "no groups"],
)
def test_the_closest_counter_is_read(
    tmp_path: Path, membership: str, file: str, text: str, count: int
) -> None:
    """That of the workers' own control group, else that of the machine."""
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "vmstat").write_text(VMSTAT)
    (proc / "self" / "cgroup").write_text(membership)
    (groups / file).parent.mkdir(parents=True)
    (groups / file).write_text(text)
    assert OutOfMemoryCounter(proc=proc, cgroups=groups).read() == count


def test_a_kernel_without_counters_counts_none(tmp_path: Path) -> None:
    """A missing /proc is no error."""
    assert OutOfMemoryCounter(proc=tmp_path, cgroups=tmp_path).read() == 0


def test_a_worker_s_own_group_counts_alone(tmp_path: Path) -> None:
    """What happens to others is not told of it, nor where its group says nothing."""
    proc, group = tmp_path / "proc", tmp_path / "echo.1"
    proc.mkdir()
    group.mkdir()
    (proc / "vmstat").write_text(VMSTAT)
    assert OutOfMemoryCounter(group, proc=proc).read() == 0
    (group / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 1\n")
    assert OutOfMemoryCounter(group, proc=proc).read() == 1
