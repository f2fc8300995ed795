"""One process at a time for one var directory: locks that the kernel releases however their holder ends.

Locked are the directories themselves, of the journals and around them, which nobody removes unnoticed, and a
file that says who has them. What counts is the flock on each, which no child inherits. Supervisors take it,
and whatever changes journals while none runs.
"""

import errno
import fcntl
import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from theater_supervisor.errors import SupervisorError, VarUnusable
from theater_supervisor.files import open_regular

LOCK_FILE: Final = Path("run/supervisor.lock")

_DIRECTORIES: Final = (Path(), Path("data"))
# Where a server keeps the locks, as NFS, one on a directory may be impossible; that on the file is left then.
_CANNOT_LOCK: Final = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP)
_MAX_HOLDER_BYTES: Final = 128


class LockHeld(SupervisorError):
    """Another process works on this var directory."""

    exit_status = 75  # EX_TEMPFAIL


class Lock:
    """What `acquire` took; `release` it, or leave its `with` block, or end the process."""

    def __init__(self, var: Path, holder: str = "") -> None:
        self._var = var
        self._holder = holder
        self._held: dict[Path, int] = {}

    def renew(self) -> list[Path]:
        """Take anew what has been removed or replaced meanwhile; return which paths.

        Raises LockHeld when another process has it now, and VarUnusable when it cannot be made.
        """
        missing = [path for path in (*_DIRECTORIES, LOCK_FILE) if not self._leads_to_held(path)]
        with ExitStack() as on_failure:
            taken = {path: self._take(path, on_failure) for path in missing}
            on_failure.pop_all()
        for path, fd in taken.items():
            self._close(path)
            self._held[path] = fd
        return [self._var / path for path in missing]

    def release(self) -> None:
        """Let the next one in. Idempotent."""
        for path in tuple(self._held):
            self._close(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _leads_to_held(self, path: Path) -> bool:
        if path not in self._held:
            return False
        try:
            return os.path.samestat(os.stat(self._var / path), os.fstat(self._held[path]))  # noqa: PTH116
        except OSError:
            return False

    def _take(self, path: Path, on_failure: ExitStack) -> int:
        whole = self._var / path
        is_file = path == LOCK_FILE
        try:
            fd = _open_file(whole) if is_file else _open_directory(whole)
            on_failure.callback(os.close, fd)
            self._flock(fd, is_file=is_file)
            if is_file:
                os.ftruncate(fd, 0)
                os.pwrite(fd, f"{os.getpid()}\n{self._holder}".encode(), 0)
        except OSError as exc:
            exc.filename = exc.filename or str(whole)
            raise VarUnusable.of(exc, self._var) from exc
        return fd

    def _flock(self, fd: int, *, is_file: bool) -> None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockHeld(
                f"{self._var / LOCK_FILE}: {_who(self._var)} works on {self._var}: "
                "stop that one first, or give this one another --var"
            ) from None
        except OSError as exc:
            if is_file or exc.errno not in _CANNOT_LOCK:
                raise

    def _close(self, path: Path) -> None:
        fd = self._held.pop(path, -1)
        if fd >= 0:
            os.close(fd)


def acquire(var: Path, holder: str = "") -> Lock:
    """Take the locks of a var directory, without waiting; creates `data/` and `run/` in it when missing.

    `holder` is what others are told that works here, such as "theaterctl restore"; "" is a supervisor. Raises
    LockHeld, naming the holder's pid, and VarUnusable when a place or the file cannot be made.
    """
    lock = Lock(var, holder)
    lock.renew()
    return lock


def _open_directory(path: Path) -> int:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _open_file(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return open_regular(path, os.O_RDWR | os.O_CREAT, 0o600)


def _who(var: Path) -> str:
    try:
        fd = open_regular(var / LOCK_FILE)
    except OSError:
        return "another supervisor"
    with os.fdopen(fd, "rb") as file:
        pid, _, holder = file.read(_MAX_HOLDER_BYTES).decode("utf-8", "replace").strip().partition("\n")
    return f"{holder or 'another supervisor'}, pid {pid}," if pid else "another supervisor"
