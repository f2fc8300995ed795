"""Whether the kernel has killed for memory's sake, as far as its counters tell.

A worker with a control group of its own has a counter of its own. Else the counters are those of the group
that supervisor and workers share, or of the whole machine: they say that a kill was seen, not whom it hit.
Source: the kernel's cgroup-v2.rst and memory.txt (`oom_kill`), and /proc/vmstat.
"""

import re
from pathlib import Path
from typing import Final

_EVENTS: Final = "memory.events"
_OOM_KILL: Final = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_CGROUP: Final = re.compile(r"^\d+:(memory|):(/.*)$", re.MULTILINE)


class OutOfMemoryCounter:
    """Reads the kernel's closest count of out-of-memory kills: that of a worker's own `group`, if any."""

    def __init__(
        self, group: Path | None = None, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")
    ) -> None:
        self._sources = [group / _EVENTS] if group else [*_group_files(proc, cgroups), proc / "vmstat"]

    def read(self) -> int:
        """Return the count; 0 where the kernel keeps none."""
        for source in self._sources:
            try:
                found = _OOM_KILL.search(source.read_text())
            except OSError:
                continue
            if found:
                return int(found[1])
        return 0


def _group_files(proc: Path, cgroups: Path) -> list[Path]:
    try:
        memberships = _CGROUP.findall((proc / "self" / "cgroup").read_text())
    except OSError:
        return []
    files = []
    for controller, group in memberships:
        root = cgroups / "memory" if controller else cgroups
        files.append(root / group.lstrip("/") / ("memory.oom_control" if controller else _EVENTS))
    return files
