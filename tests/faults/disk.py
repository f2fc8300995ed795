"""Two disks beneath SQLite: one that fails when told to, one that remembers what a power loss could leave.

Both are VFSs over real files, so the journal runs the library it ships with; what the journal itself does to
the log goes through them too. Syncs are not passed on: what is durable is decided here, and the tests stay
fast.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random

import apsw
import trio

from theater_supervisor.journal.bodies import BodyFiles
from theater_supervisor.journal.log_file import LogFile

SECTOR_BYTES = 512
LARGE_BYTES = 120
FILE_BYTES = 3 * 4096
_NAMES = count()


class _Files(apsw.VFS):
    """A VFS whose files report to `disk`."""

    def __init__(self, disk: "Disk") -> None:
        self._disk = disk
        super().__init__(disk.vfs, "unix")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "_File":
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._disk.opening(Path(path or "temporary"), flags[0])
        return _File(self._disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self._disk.delete(Path(filename), syncdir, lambda: super(_Files, self).xDelete(filename, syncdir))

    def xGetLastError(self) -> tuple[int, str]:
        return self._disk.errno, ""

    def excepthook(self, *error: object) -> bool:
        """Keep quiet about the failures that SQLite handles itself."""
        return True


class _File(apsw.VFSFile):
    def __init__(self, disk: "Disk", name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._disk, self._path = disk, Path(path or "temporary")
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.write(self._path, bytes(data), offset, super().xWrite)

    def xTruncate(self, newsize: int) -> None:
        self._disk.truncate(self._path, newsize, super().xTruncate)

    def xSync(self, flags: int) -> None:
        self._disk.sync(self._path)
        self._disk.sync_name(self._path)

    def excepthook(self, *error: object) -> bool:
        """Keep quiet about the failures that SQLite handles itself."""
        return True


class _Log(LogFile):
    """The journal's own way to the log, on a disk of these."""

    def __init__(self, disk: "Disk", database: Path) -> None:
        self._disk = disk
        super().__init__(database)

    def sync(self, *, awake: bool = False) -> None:
        try:
            self._disk.sync(self.path)
        except apsw.Error as exc:
            raise OSError(self._disk.errno, os.strerror(self._disk.errno)) from exc

    def can_sync_meanwhile(self) -> bool:
        return True

    async def sync_meanwhile(self) -> None:
        await trio.lowlevel.checkpoint()
        self.sync()

    def write(self, data: bytes, offset: int) -> None:
        self._disk.write(self.path, data, offset, super().write)


class _Bodies(BodyFiles):
    """The journal's large bodies, on a disk of these; small ones count as large, so that there are many."""

    def __init__(self, disk: "Disk", database: Path) -> None:
        self._disk = disk
        super().__init__(database, LARGE_BYTES, FILE_BYTES)

    def _create(self, path: Path) -> int:
        # Like SQLite's log, its name is durable once its directory was synced.
        self._disk.opening(path, apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_WAL)
        return super()._create(path)

    def _sync_directory(self, path: Path) -> None:
        with self._errors():
            self._disk.sync_name(path)

    def _write(self, data: memoryview, at: int) -> None:
        def go(data: bytes, at: int) -> None:
            os.pwrite(self._fd_to_write, data, at)

        with self._errors():
            # Of a write that fails a part is written, which need not be whole blocks.
            fcntl.fcntl(self._fd_to_write, fcntl.F_SETFL, os.O_WRONLY)
            self._disk.write(self.path(self._file), bytes(data), at, go)

    def _sync(self) -> None:
        with self._errors():
            self._disk.sync(self.path(self._file))

    def _delete(self, path: Path) -> None:
        with self._errors():
            self._disk.delete(path, False, path.unlink)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except apsw.Error as exc:
            raise OSError(self._disk.errno, os.strerror(self._disk.errno)) from exc


class Disk:
    """Passes everything through; a disk overrides what it does otherwise."""

    def __init__(self) -> None:
        self.vfs = f"disk-{next(_NAMES)}"
        self.errno = 0  # what the system says about the last failure
        self._files = _Files(self)

    def log_file(self, database: Path) -> LogFile:
        """Return the log of a database on this disk."""
        return _Log(self, database)

    def bodies(self, database: Path) -> BodyFiles:
        """Return the large bodies of a database on this disk."""
        return _Bodies(self, database)

    def opening(self, path: Path, flags: int) -> None:
        """Take note of a file about to be opened."""

    def write(self, path: Path, data: bytes, offset: int, go: Callable[[bytes, int], None]) -> None:
        """Take a write; `go` does it."""
        go(data, offset)

    def truncate(self, path: Path, size: int, go: Callable[[int], None]) -> None:
        """Take a truncation; `go` does it."""
        go(size)

    def sync(self, path: Path) -> None:
        """Take a sync."""

    def sync_name(self, path: Path) -> None:
        """Take note that SQLite synced a file, and so perhaps its directory."""

    def delete(self, path: Path, syncdir: bool, go: Callable[[], None]) -> None:
        """Take a deletion; `go` does it."""
        go()


_FAULTS = {
    "EIO": {"write": apsw.SQLITE_IOERR_WRITE, "sync": apsw.SQLITE_IOERR_FSYNC},
    "ENOSPC": {"write": apsw.SQLITE_FULL, "sync": apsw.SQLITE_IOERR_FSYNC},
    "EROFS": {"write": apsw.SQLITE_READONLY, "sync": apsw.SQLITE_IOERR_FSYNC},
}
CAUSES = {"EIO": "I/O error", "ENOSPC": "disk full", "EROFS": "read-only"}


class FailingDisk(Disk):
    """Fails the n-th write, truncation, deletion or sync after `fail_at`: only that one, or all from it on.

    A failing write leaves its first half behind. `failures` counts what failed, `error` is set while
    something is to fail.
    """

    def __init__(self) -> None:
        super().__init__()
        self.failures = 0
        self.heal()

    def fail_at(self, nth: int, error: str, *, lasting: bool) -> None:
        """Let the nth operation from now on fail with `error` (EIO, ENOSPC, EROFS)."""
        self._left, self.error, self._lasting = nth, error, lasting

    def heal(self) -> None:
        """Work again."""
        self._left, self.error, self._lasting = -1, "", False

    def _fails(self) -> bool:
        if self._left < 0:
            return False
        self._left = max(self._left - 1, 0)
        if self._left:
            return False
        self.failures += 1
        return True

    def _raise(self, operation: str) -> None:
        error = self.error
        self.errno = getattr(errno, error)
        if not self._lasting:
            self.heal()
        raise apsw.exception_for(_FAULTS[error][operation])

    def write(self, path: Path, data: bytes, offset: int, go: Callable[[bytes, int], None]) -> None:
        """Take a write; `go` does it."""
        if self._fails():
            go(data[: len(data) // 2], offset)
            self._raise("write")
        go(data, offset)

    def truncate(self, path: Path, size: int, go: Callable[[int], None]) -> None:
        """Take a truncation; `go` does it."""
        if self._fails():
            self._raise("write")
        go(size)

    def sync(self, path: Path) -> None:
        """Take a sync."""
        if self._fails():
            self._raise("sync")

    def delete(self, path: Path, syncdir: bool, go: Callable[[], None]) -> None:
        """Take a deletion; `go` does it."""
        if self._fails():
            self._raise("write")
        go()


@dataclass(slots=True)
class _Inode:
    """A file's bytes: the durable ones, and every version of size and sectors since they were synced.

    `lost` are the durable bytes of sectors that count as clean and are not.
    """

    durable: bytes = b""
    current: bytearray = field(default_factory=bytearray)
    lost: dict[int, bytes] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    sectors: dict[int, list[bytes]] = field(default_factory=dict)

    def write(self, data: bytes, offset: int) -> None:
        end = offset + len(data)
        if len(self.current) < end:
            self.current.extend(bytes(end - len(self.current)))
            self.sizes.append(end)
        self.current[offset:end] = data
        for sector in range(offset // SECTOR_BYTES, (end - 1) // SECTOR_BYTES + 1):
            start = sector * SECTOR_BYTES
            self.sectors.setdefault(sector, []).append(bytes(self.current[start : start + SECTOR_BYTES]))

    def truncate(self, size: int) -> None:
        del self.current[size:]
        self.sizes.append(size)

    def sync(self) -> None:
        durable = bytearray(self.current)
        for sector, before in self.lost.items():
            if sector not in self.sectors:
                start = sector * SECTOR_BYTES
                durable[start : start + SECTOR_BYTES] = before[: len(durable) - start]
        for sector in self.sectors:
            self.lost.pop(sector, None)
        self.durable = bytes(durable)
        self.sizes.clear()
        self.sectors.clear()

    def forget(self) -> None:
        for sector in self.sectors:
            start = sector * SECTOR_BYTES
            before = self.durable[start : start + SECTOR_BYTES].ljust(SECTOR_BYTES, b"\0")
            self.lost.setdefault(sector, before)
        self.sectors.clear()

    def survivor(self, random: Random) -> bytes:
        """Draw what is left: each sector and the size independently in any version since the last sync."""
        left = bytearray(self.durable)
        luck = random.choice((0.0, 0.5, 0.5, 1.0))
        for sector, versions in self.sectors.items():
            if random.random() < luck:
                start = sector * SECTOR_BYTES
                version = versions[-1] if luck == 1.0 else random.choice(versions)
                left.extend(bytes(max(0, start + len(version) - len(left))))
                left[start : start + len(version)] = version
        sizes = [len(self.durable), *self.sizes]
        size = sizes[-1] if luck == 1.0 else sizes[0] if luck == 0.0 else random.choice(sizes)
        return bytes(left[:size].ljust(size, b"\0"))


@dataclass(frozen=True, slots=True)
class Moment:
    """Between two operations: how many there were, and what a power loss here could leave."""

    operations: int
    disk: "RecordingDisk"

    def leave(self, directory: Path, random: Random) -> None:
        """Write what a power loss at this moment leaves into an empty directory."""
        for name, inode in self.disk.names(random).items():
            (directory / name).write_bytes(inode.survivor(random))


class RecordingDisk(Disk):
    """Remembers every write since the last sync; calls `at_each` between any two operations.

    A name is durable once its directory was synced: by the first sync of a log or rollback journal after it
    was created (SQLite syncs the directory then), or by a deletion that asks for it. While `forgetful`, syncs
    of the log fail as Linux has it: what was to be synced counts as clean from then on, and is not on disk.
    """

    def __init__(self, at_each: Callable[[Moment], None]) -> None:
        super().__init__()
        self._at_each = at_each
        self._operations = 0
        self._live: dict[str, _Inode] = {}
        self._durable: dict[str, _Inode] = {}
        self._unsynced_names: list[tuple[str, _Inode | None]] = []
        self._logs: set[str] = set()
        self.forgetful = False

    def names(self, random: Random) -> dict[str, _Inode]:
        """Draw which creations and deletions survive that no sync of the directory made durable."""
        names = dict(self._durable)
        luck = random.choice((0.0, 0.5, 1.0))
        for name, inode in self._unsynced_names:
            if random.random() < luck:
                _link(names, name, inode)
        return names

    def opening(self, path: Path, flags: int) -> None:
        """Take note of a file about to be opened."""
        if flags & apsw.SQLITE_OPEN_CREATE and path.name not in self._live:
            self._live[path.name] = _Inode()
            self._unsynced_names.append((path.name, self._live[path.name]))
            if flags & (apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL):
                self._logs.add(path.name)
            self._step()

    def write(self, path: Path, data: bytes, offset: int, go: Callable[[bytes, int], None]) -> None:
        """Take a write; `go` does it."""
        go(data, offset)
        self._live[path.name].write(data, offset)
        self._step()

    def truncate(self, path: Path, size: int, go: Callable[[int], None]) -> None:
        """Take a truncation; `go` does it."""
        go(size)
        self._live[path.name].truncate(size)
        self._step()

    def sync(self, path: Path) -> None:
        """Take a sync."""
        if self.forgetful and path.name.endswith("-wal"):
            self._live[path.name].forget()
            self.errno = errno.EIO
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
        self._live[path.name].sync()
        self._step()

    def sync_name(self, path: Path) -> None:
        """Take note that SQLite synced a file: the directory too, the first time that it is a log."""
        if path.name in self._logs:
            self._logs.discard(path.name)
            self._sync_directory()
            self._step()

    def delete(self, path: Path, syncdir: bool, go: Callable[[], None]) -> None:
        """Take a deletion; `go` does it."""
        go()
        self._live.pop(path.name, None)
        self._unsynced_names.append((path.name, None))
        if syncdir:
            self._sync_directory()
        self._step()

    def _sync_directory(self) -> None:
        for name, inode in self._unsynced_names:
            _link(self._durable, name, inode)
        self._unsynced_names.clear()

    def _step(self) -> None:
        self._operations += 1
        self._at_each(Moment(self._operations, self))


def _link(names: dict[str, _Inode], name: str, inode: _Inode | None) -> None:
    if inode is None:
        names.pop(name, None)
    else:
        names[name] = inode
