"""Control groups (cgroup v2): limits that the kernel keeps for each worker, where this process may set some.

It may when the group that it was started in is delegated to it, as by systemd's Delegate=. A group whose
children have limits can't have processes of its own, so the supervisor moves into a leaf of it, and every
worker gets a group beside that one. Plain synchronous calls, some of which take the kernel milliseconds.
Source: the kernel's cgroup-v2.rst; systemd's CGROUP_DELEGATION.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LEAF: Final = "supervisor"
# The interpreter, the time limit's thread, and room; after its lock-down a worker can have no more anyway.
MAX_TASKS: Final = 32

_CONTROLLERS: Final = ("memory", "pids")
_MEMBERSHIP: Final = re.compile(r"^0::(/.*)$", re.MULTILINE)
_MOUNT: Final = re.compile(r"^\S+ \S+ \S+ (\S+) (\S+) .* - cgroup2 ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Delegation:
    """A group in which this process may make others; `own` is the one that it is in."""

    own: Path
    group: Path


def own_group(membership: str, mounts: str) -> Path | None:
    """Return the directory of a process's group, from /proc's `cgroup` and `mountinfo`; None without one."""
    member, mount = _MEMBERSHIP.search(membership), _MOUNT.search(mounts)
    if member is None or mount is None:
        return None
    root, mount_point = mount.groups()
    path = Path(member[1])
    # One outside of what is mounted, or of the namespace, is out of reach.
    if ".." in path.parts or not path.is_relative_to(root):
        return None
    return Path(mount_point) / path.relative_to(root)


def find_delegation(proc: Path = Path("/proc/self")) -> Delegation | None:
    """Return what is delegated to the process of this /proc directory, None for nothing."""
    try:
        own = own_group((proc / "cgroup").read_text(), (proc / "mountinfo").read_text())
        if own is None:
            return None
        group = own.parent if own.name == LEAF else own
        controllers = (group / "cgroup.controllers").read_text().split()
    except OSError:
        return None
    # The root of all groups, which alone has no type, is the machine's.
    needed = (group, group / "cgroup.procs", group / "cgroup.subtree_control", group / "cgroup.type")
    if "memory" not in controllers or not all(os.access(path, os.W_OK) for path in needed):
        return None
    return Delegation(own, group)


@contextlib.contextmanager
def settled(delegation: Delegation | None) -> Iterator[Path | None]:
    """Prepare the group for workers' groups and give it; None where that can't be. Undone at the end.

    It can't when other processes are in it, such as the shell that started this one.
    """
    if delegation is None:
        yield None
        return
    try:
        yield delegation.group if _settle(delegation) else None
    finally:
        _leave(delegation)


def group_limits(rss_bytes: int | None) -> Mapping[str, int]:
    """Return what to write to a worker's group, by file.

    The supervisor ends a worker over `rss_bytes` itself, when it has answered; the kernel's limit is a
    quarter above, for one that is faster than the supervisor looks.
    """
    limits = {"pids.max": MAX_TASKS, "memory.oom.group": 1, "memory.swap.max": 0}
    if rss_bytes is not None:
        limits["memory.max"] = rss_bytes + rss_bytes // 4
    return limits


class WorkerGroup:
    """The group of one worker. `make` it, let it `take` the worker, and `remove` it when that is reaped."""

    def __init__(self, path: Path, rss_bytes: int | None) -> None:
        self.path = path
        self._limits = group_limits(rss_bytes)

    @property
    def limit_bytes(self) -> int | None:
        """What the worker may use before the kernel kills it."""
        return self._limits.get("memory.max")

    def make(self) -> None:
        """Make the group with its limits. Raises OSError."""
        self.path.mkdir(exist_ok=True)
        for file, value in self._limits.items():
            # A kernel without swap, or a group without a controller for tasks, lacks some.
            with contextlib.nullcontext() if file == "memory.max" else contextlib.suppress(OSError):
                (self.path / file).write_text(str(value))

    def take(self, pid: int) -> None:
        """Move a process into the group, unless it has ended. Raises OSError."""
        with contextlib.suppress(ProcessLookupError):
            (self.path / "cgroup.procs").write_text(str(pid))

    def remove(self) -> None:
        """Remove the group, and kill what is left in it first."""
        with contextlib.suppress(OSError):
            (self.path / "cgroup.kill").write_text("1")
        with contextlib.suppress(OSError):
            self.path.rmdir()


def _settle(delegation: Delegation) -> bool:
    leaf, group = delegation.group / LEAF, delegation.group
    try:
        if delegation.own != leaf:
            leaf.mkdir(exist_ok=True)
            (leaf / "cgroup.procs").write_text(str(os.getpid()))
        offered = (group / "cgroup.controllers").read_text().split()
        wanted = [f"+{name}" for name in _CONTROLLERS if name in offered]
        (group / "cgroup.subtree_control").write_text(" ".join(wanted))
    except OSError:
        return False
    return True


def _leave(delegation: Delegation) -> None:
    leaf, group = delegation.group / LEAF, delegation.group
    if delegation.own == leaf:
        return
    # Each step needs the one before; what is left is of no harm.
    with contextlib.suppress(OSError):
        for name in _CONTROLLERS:
            (group / "cgroup.subtree_control").write_text(f"-{name}")
        (group / "cgroup.procs").write_text(str(os.getpid()))
        leaf.rmdir()
