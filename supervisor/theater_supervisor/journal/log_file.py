"""The write-ahead log's file, on a descriptor of our own beside SQLite's: making durable what is in it.

SQLite writes it and reads it; no byte is ever changed here. Closing a descriptor gives up a process's POSIX
locks on the file, but those of SQLite are on other files.
"""

import errno
import os
from pathlib import Path
from typing import Final

from theater_supervisor.journal.kernel_sync import KernelSync

_CHUNK_BYTES: Final = 1024 * 1024


class LogFile:
    """The write-ahead log of the database at `database`; opened when first used. Methods raise OSError."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + "-wal")
        self._fd = -1
        self._asked_kernel = False
        self._kernel_sync: KernelSync | None = None

    def fileno(self) -> int:
        """Return the descriptor, which is open until close."""
        if self._fd < 0:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        return self._fd

    def sync(self, *, awake: bool = False) -> None:
        """Wait until what was written is on disk; `awake`, where the system offers that: see KernelSync."""
        # Asked first, so that all descriptors are open after the first sync.
        if self.can_sync_meanwhile() and awake and self._kernel_sync is not None:
            self._kernel_sync.fdatasync_awake(self.fileno())
        else:
            os.fdatasync(self.fileno())

    def can_sync_meanwhile(self) -> bool:
        """Say whether the system offers what `sync_meanwhile` needs."""
        if not self._asked_kernel:
            self._asked_kernel, self._kernel_sync = True, KernelSync.where_offered()
        return self._kernel_sync is not None

    async def sync_meanwhile(self) -> None:
        """Sync while other tasks run. Not to be cancelled, nor called twice at a time."""
        assert self._kernel_sync is not None
        await self._kernel_sync.fdatasync(self.fileno())

    def rewrite(self) -> None:
        """Write all of it again and sync it, nothing when there is no log.

        After a sync that failed the kernel takes pages for clean that are not on disk, and the next sync
        says nothing of them.
        """
        try:
            fd = self.fileno()
        except FileNotFoundError:
            return
        for offset in range(0, os.fstat(fd).st_size, _CHUNK_BYTES):
            self.write(os.pread(fd, _CHUNK_BYTES, offset), offset)
        self.sync()

    def write(self, data: bytes, offset: int) -> None:
        """Write `data`, all of it."""
        if os.pwrite(self.fileno(), data, offset) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Close it; no sync is under way. What is used again is opened again."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        if self._kernel_sync is not None:
            self._kernel_sync.close()
        self._asked_kernel, self._kernel_sync = False, None
