"""One supervisor for one var directory: a lock that the kernel releases however its holder ends.

The file stays; what counts is the flock on it, which no child inherits.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from theater_supervisor.errors import SupervisorError, VarUnusable

LOCK_FILE: Final = Path("run/supervisor.lock")


class LockHeld(SupervisorError):
    """Another supervisor works on this var directory."""

    exit_status = 75  # EX_TEMPFAIL


class Lock:
    """A held lock; `release` it, or leave its `with` block, or end the process."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        """Let the next supervisor in. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def acquire(var: Path) -> Lock:
    """Take the lock of a var directory, without waiting; creates `run/` in it when missing.

    Raises LockHeld, naming the holder's pid, and VarUnusable when the file cannot be made.
    """
    path = var / LOCK_FILE
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise VarUnusable.of(exc, var) from exc
    try:
        return _locked(fd, path, var)
    except BaseException:
        os.close(fd)
        raise


def _locked(fd: int, path: Path, var: Path) -> Lock:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        who = f"another supervisor, pid {holder}," if holder else "another supervisor"
        raise LockHeld(
            f"{path}: {who} works on {var}: stop that one first, or give this one another --var"
        ) from None
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode("ascii"), 0)
    except OSError as exc:
        raise VarUnusable(f"{path}: {exc.strerror}: make {var} writable or name another --var") from exc
    return Lock(fd)
