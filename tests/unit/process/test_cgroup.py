"""Control groups for workers, decided and written on a tree of plain files in cgroupfs's shape.

What the kernel makes of them is shown in tests/integration/test_cgroup.py, where there is such a kernel.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from theater_supervisor.process.cgroup import (
    Delegation,
    WorkerGroup,
    find_delegation,
    group_limits,
    own_group,
    settled,
)
from theater_supervisor.process.containment import Containment, worker_group

HYBRID = "4:memory:/box\n1:cpu:/\n0::/user.slice/one.service\n"
MOUNTS = """24 1 0:22 / /sys rw,nosuid shared:2 - sysfs sysfs rw
28 24 0:25 {root} {mount} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate
"""
MIB = 1 << 20


@pytest.mark.parametrize(
    ("membership", "mounts", "found"),
    [
        ("0::/a/b\n", MOUNTS.format(root="/", mount="/cg"), "/cg/a/b"),
        ("0::/\n", MOUNTS.format(root="/", mount="/cg"), "/cg"),
        (HYBRID, MOUNTS.format(root="/", mount="/cg/unified"), "/cg/unified/user.slice/one.service"),
        ("0::/pod/one\n", MOUNTS.format(root="/pod", mount="/cg"), "/cg/one"),
        ("0::/other\n", MOUNTS.format(root="/pod", mount="/cg"), None),
        ("0::/../outside\n", MOUNTS.format(root="/", mount="/cg"), None),
        ("4:memory:/box\n", MOUNTS.format(root="/", mount="/cg"), None),
        ("0::/a\n", MOUNTS.splitlines()[0], None),
    ],
    ids=["v2", "namespace", "hybrid", "bind mount", "not mounted", "outside", "v1 only", "no mount"],
)
def test_a_process_finds_its_own_group(membership: str, mounts: str, found: str | None) -> None:
    """From what /proc says, whatever part of the tree is mounted where."""
    assert own_group(membership, mounts) == (Path(found) if found else None)


class Tree:
    """A mounted cgroup2 tree of plain files, and the /proc directory of a process in its group `service`."""

    def __init__(self, directory: Path) -> None:
        self.mount, self.proc = directory / "cg", directory / "proc"
        self.service = self.mount / "service"
        self.service.mkdir(parents=True)
        self.proc.mkdir()
        (self.proc / "mountinfo").write_text(MOUNTS.format(root="/", mount=self.mount))
        self.enter(self.service)

    def enter(self, group: Path) -> None:
        """Let the process be in this group."""
        group.mkdir(exist_ok=True)
        for file in ("cgroup.procs", "cgroup.subtree_control", "cgroup.type"):
            (group / file).touch()
        (group / "cgroup.controllers").write_text("cpu memory pids\n")
        (self.proc / "cgroup").write_text(f"0::/{group.relative_to(self.mount)}\n")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """A delegated group; its directories can be removed with the files in them, as the kernel's can."""
    monkeypatch.setattr(Path, "rmdir", lambda path: shutil.rmtree(path))
    return Tree(tmp_path)


def test_a_group_of_ones_own_is_delegated(tree: Tree) -> None:
    """When it can be written and has the memory controller."""
    assert find_delegation(tree.proc) == Delegation(tree.service, tree.service)


def test_a_leaf_means_the_group_around_it(tree: Tree) -> None:
    """As made by systemd's DelegateSubgroup=supervisor, or by this supervisor."""
    tree.enter(tree.service / "supervisor")
    assert find_delegation(tree.proc) == Delegation(tree.service / "supervisor", tree.service)


@pytest.mark.parametrize(
    "missing", ["cgroup.type", "cgroup.subtree_control", "cgroup.controllers", "cgroup.procs"]
)
def test_a_group_without_its_files_is_not_delegated(tree: Tree, missing: str) -> None:
    """So is the root of all groups, which has no type."""
    (tree.service / missing).unlink()
    assert find_delegation(tree.proc) is None


def test_a_group_without_the_memory_controller_is_not_delegated(tree: Tree) -> None:
    """As with cgroup v1, which has it in a tree of its own."""
    (tree.service / "cgroup.controllers").write_text("cpu pids\n")
    assert find_delegation(tree.proc) is None


def test_a_group_that_cannot_be_written_is_not_delegated(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's mode decides, or a mount that is read-only."""
    monkeypatch.setattr(os, "access", lambda path, _: path.name != "cgroup.subtree_control")
    assert find_delegation(tree.proc) is None


def test_the_supervisor_settles_in_a_leaf(tree: Tree) -> None:
    """Itself first, then the controllers, and back at the end."""
    with settled(find_delegation(tree.proc)) as group:
        assert group == tree.service
        assert (tree.service / "supervisor" / "cgroup.procs").read_text() == str(os.getpid())
        assert (tree.service / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert (tree.service / "cgroup.subtree_control").read_text() == "-pids"
    assert (tree.service / "cgroup.procs").read_text() == str(os.getpid())
    assert not (tree.service / "supervisor").exists()


def test_a_supervisor_in_its_leaf_stays_there(tree: Tree) -> None:
    """Who put it there takes it out."""
    tree.enter(tree.service / "supervisor")
    with settled(find_delegation(tree.proc)) as group:
        assert group == tree.service
    assert (tree.service / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert (tree.service / "supervisor" / "cgroup.procs").read_text() == ""


def test_a_group_with_other_processes_is_left_as_it_was(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel refuses the controllers (EBUSY), for a shell that started the supervisor, say."""
    write = Path.write_text

    def busy(path: Path, text: str) -> int:
        if path.name == "cgroup.subtree_control" and "+" in text:
            raise OSError(16, "Device or resource busy")
        return write(path, text)

    monkeypatch.setattr(Path, "write_text", busy)
    with settled(find_delegation(tree.proc)) as group:
        assert group is None
    assert (tree.service / "cgroup.procs").read_text() == str(os.getpid())
    assert not (tree.service / "supervisor").exists()


def test_what_is_not_delegated_is_not_touched() -> None:
    """The supervisor then has no group to offer."""
    with settled(None) as group:
        assert group is None


def test_limits_follow_rss_mib() -> None:
    """A quarter above it, so that a worker that is over can still answer first; no swap, few tasks."""
    assert group_limits(400 * MIB) == {
        "memory.max": 500 * MIB,
        "memory.swap.max": 0,
        "memory.oom.group": 1,
        "pids.max": 32,
    }
    assert "memory.max" not in group_limits(None)


def test_a_worker_has_a_group_while_it_lives(tree: Tree) -> None:
    """With its limits written before the worker comes in, and gone when the worker is."""
    containment = Containment(rss_bytes=400 * MIB, cgroup=tree.service)

    async def main() -> None:
        async with worker_group(containment, "echo.1") as group:
            assert isinstance(group, WorkerGroup)
            group.take(4711)
            written = {file.name: file.read_text() for file in group.path.iterdir()}
            assert written == {
                "memory.max": str(500 * MIB),
                "memory.swap.max": "0",
                "memory.oom.group": "1",
                "pids.max": "32",
                "cgroup.procs": "4711",
            }
            assert group.limit_bytes == 500 * MIB
        assert not group.path.exists()

    trio.run(main)


def test_a_worker_without_delegation_has_none() -> None:
    """The supervisor's own watch is all there is then."""

    async def main() -> None:
        async with worker_group(Containment(rss_bytes=MIB), "echo.1") as group:
            assert group is None

    trio.run(main)


def test_a_group_that_cannot_be_made_is_an_error(tree: Tree) -> None:
    """Where limits were promised, no worker runs without; what was begun is removed."""
    tree.service.chmod(0o700)
    (tree.service / "echo.1").write_text("in the way")

    async def main() -> None:
        with suppress(trio.Cancelled):
            async with worker_group(Containment(rss_bytes=MIB, cgroup=tree.service), "echo.1"):
                pytest.fail("there is a group")

    with pytest.raises(OSError, match=r"echo\.1"):
        trio.run(main)
