"""What holds a worker from outside: the sandbox it must be in, and the memory it may take.

Asks the machine and the kernel; what follows from an answer is decided elsewhere.
"""

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio
from pydantic import BaseModel, ConfigDict, ValidationError

from theater_supervisor.errors import SandboxMissing
from theater_supervisor.process.cgroup import WorkerGroup
from theater_supervisor.process.environment import bare_environment

PROBE_COMMAND: Final = (sys.executable, "-I", "-m", "theater_worker.sandbox")
_PROBE_TIMEOUT_S: Final = 10.0
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_MAX_STATM_BYTES: Final = 256
_REMOVE_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Containment:
    """What a worker is held by.

    `sandbox_required` is the least level it must reach; `rss_bytes` None means no limit; `cgroup` is where
    workers get control groups of their own, None where they can't. A `fresh` worker is not forked from the
    template.
    """

    sandbox_required: int = 0
    rss_bytes: int | None = None
    cgroup: Path | None = None
    fresh: bool = False


class SandboxReport(BaseModel):
    """What a machine offers: the level that workers reach on it, and what that is made of.

    `landlock_abi` is 0 where there is none, `architecture` None where its system calls are not known.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    level: int
    seccomp: bool
    landlock_abi: int
    architecture: str | None


async def probe_sandbox(command: Sequence[str] = PROBE_COMMAND) -> SandboxReport:
    """Find out what this machine offers, by locking down a process. A probe that fails finds nothing."""
    nothing = SandboxReport(level=0, seccomp=False, landlock_abi=0, architecture=None)
    with trio.move_on_after(_PROBE_TIMEOUT_S):
        try:
            done = await trio.run_process(
                command, env=bare_environment(), capture_stdout=True, capture_stderr=True, check=False
            )
            return SandboxReport.model_validate_json(done.stdout)
        except (OSError, ValidationError):
            return nothing
    return nothing


async def check_sandbox(required: int, command: Sequence[str] = PROBE_COMMAND) -> None:
    """Find out, unless nothing is required, whether workers reach that level. Raises SandboxMissing."""
    if not required:
        return
    report = await probe_sandbox(command)
    if report.level < required:
        found = f"seccomp {'works' if report.seccomp else 'is missing'}"
        found += f", Landlock {f'ABI {report.landlock_abi}' if report.landlock_abi else 'is missing'}"
        raise SandboxMissing(
            f"[sandbox] require = {required}, but this machine offers level {report.level} ({found}):"
            " use a Linux kernel from 5.13 on with Landlock among its LSMs, or require less"
        )


@contextlib.asynccontextmanager
async def worker_group(containment: Containment, name: str) -> AsyncIterator[WorkerGroup | None]:
    """Make a control group for a worker and give it, None where there can't be one; remove it at the end.

    The worker must have been reaped by then. Raises OSError when the kernel refuses the group.
    """
    if containment.cgroup is None:
        yield None
        return
    group = WorkerGroup(containment.cgroup / name, containment.rss_bytes)
    try:
        await trio.to_thread.run_sync(group.make)
        yield group
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _REMOVE_TIMEOUT_S):
            await trio.to_thread.run_sync(group.remove, abandon_on_cancel=True)


def resident_bytes(pid: int) -> int | None:
    """Return how much memory a process has in RAM, None where the system does not say (proc(5), statm)."""
    try:
        # Every worker is looked at all the time: this takes a fifth of what reading a Path does.
        fd = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return int(os.read(fd, _MAX_STATM_BYTES).split()[1]) * _PAGE_BYTES
        finally:
            os.close(fd)
    except (OSError, IndexError):
        return None
