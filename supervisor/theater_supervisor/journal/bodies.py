"""Large bodies of transitions, in files beside the database that are only ever appended to.

SQLite would write each one twice, page by page, to its log and to the database: 6.5 ms for 2 MiB, here 2.8.
In the row of such a body stands its place. What a body is, and when one is not needed any more, is for others
to say.
"""

import errno
import fcntl
import mmap
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from theater_protocol import cbor
from theater_protocol.chain import decode
from theater_protocol.errors import RemoteProtocolError

LARGE_BYTES: Final = 64 * 1024
FILE_BYTES: Final = 64 * 1024 * 1024

_BLOCK_BYTES: Final = 4096
_BUFFER_BYTES: Final = 4 * 1024 * 1024  # one write for most bodies, and memory for no more than that
_PLACE_HEAD: Final = b"\x83"  # CBOR's array of 3; a body is one of 10
# The data goes to the disk without a copy in the page cache, which nobody would read again.
_DIRECT: Final = getattr(os, "O_DIRECT", 0)


class Place(NamedTuple):
    """Where a body is: in which file, from which byte on, how long."""

    file: int
    at: int
    size: int


class Bodies:
    """The large bodies of the database at `database`, for reading; one is used by one thread at a time."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self._reading: tuple[int, int] = (0, -1)

    def files(self) -> list[int]:
        """Return which files there are, in ascending order."""
        names = self.database.parent.glob(f"{self.database.name}-bodies-*")
        numbers = [name.name.rpartition("-")[2] for name in names]
        return sorted(int(number) for number in numbers if number.isdecimal())

    def path(self, file: int) -> Path:
        """Return where a file is."""
        return self.database.with_name(f"{self.database.name}-bodies-{file}")

    def whole(self, stored: bytes) -> bytes:
        """Return the body whose row has `stored`: that itself, or what is at the place it tells of.

        Raises RemoteProtocolError when there is no such place, OSError when it can't be read.
        """
        if not is_place(stored):
            return stored
        file, at, size = read_place(stored)
        try:
            fd = self._fd(file)
            if os.fstat(fd).st_size >= at + size:
                return os.pread(fd, size, at)
        except FileNotFoundError:
            pass
        raise RemoteProtocolError(f"its body, {size} bytes at {at} of {self.path(file).name}, is missing")

    def missing(self, ends: Mapping[int, int]) -> list[str]:
        """Say which files are missing or end before `ends`, the last byte that is needed of each."""
        words = []
        for file, end in ends.items():
            try:
                size = self.path(file).stat().st_size
            except FileNotFoundError:
                words.append(f"{self.path(file).name} is missing")
                continue
            if size < end:
                words.append(f"{self.path(file).name} has {size} bytes instead of {end}")
        return words

    def beyond(self, ends: Mapping[int, int], head_seq: int) -> str | None:
        """Name a file with bodies of more than one batch behind the head, None when there is none.

        One batch may be there: a crash came between its bodies and its rows. It begins where the rows that
        were written before it end, at a whole block, and the next one at another.
        """
        newest = max(ends, default=0)
        files = self.files()
        fence = max((file for file in files if not self.path(file).stat().st_size), default=0)
        for file in files:
            if file >= newest and file > fence:
                start = _whole_blocks(ends.get(file, 0))
                with suppress(RemoteProtocolError, OSError):
                    if self._holds_batches_behind(file, start, head_seq):
                        return self.path(file).name
        return None

    def fence(self) -> None:
        """Begin an empty file: what is in those before it and has no rows, is known to have none."""
        self.path(max(self.files(), default=0) + 1).touch(mode=0o600)

    def _holds_batches_behind(self, file: int, start: int, head_seq: int) -> bool:
        with self.path(file).open("rb") as opened:
            opened.seek(start)
            data = memoryview(opened.read())
        at = 0
        begins_batch = False
        while at < len(data):
            size = cbor.item_bytes(data[at:])
            if decode(bytes(data[at : at + size])).seq <= head_seq:
                return False
            if begins_batch:
                return True
            at += size
            begins_batch = at < len(data) and not data[at]
            at = _whole_blocks(at) if begins_batch else at
        return False

    def close(self) -> None:
        """Let go of what was opened. Idempotent; what is used again is opened again."""
        self._stop_reading()

    def _stop_reading(self) -> None:
        (_, fd), self._reading = self._reading, (0, -1)
        if fd >= 0:
            os.close(fd)

    def _fd(self, file: int) -> int:
        if self._reading[0] != file:
            self._stop_reading()
            self._reading = file, os.open(self.path(file), os.O_RDONLY | os.O_CLOEXEC)
        return self._reading[1]


class BodyFiles(Bodies):
    """The large bodies of one journal, for its writer.

    What was staged is durable after `write`; until the rows that tell of it are, it counts for nothing. Each
    opened journal begins a file of its own, so that nothing is ever overwritten. A body is large from
    `large_bytes` on, a file of `file_bytes` gets no more.
    """

    def __init__(self, database: Path, large_bytes: int = LARGE_BYTES, file_bytes: int = FILE_BYTES) -> None:
        super().__init__(database)
        self._large_bytes = large_bytes
        self._file_bytes = file_bytes
        self._file = 0
        self._at = 0
        self._fd_to_write = -1
        self._buffer: mmap.mmap | None = None
        self._staged: dict[bytes, bytes] = {}
        self._staged_bytes = 0
        self._needed_from = 0
        self._sweeps = True

    @property
    def newest(self) -> Path:
        """The file that is written to."""
        return self.path(self._file)

    def takes(self, body: bytes) -> bool:
        """Say whether a body is large."""
        return len(body) >= self._large_bytes

    def stage(self, body: bytes) -> bytes:
        """Take a large body to be written; return what stands for it in its row. Raises OSError."""
        if not self._file or (self._at >= self._file_bytes and not self._staged):
            self._begin_file()
        place = Place(self._file, self._at + self._staged_bytes, len(body))
        stored = cbor.encode(list(place))
        self._staged[stored] = body
        self._staged_bytes += len(body)
        return stored

    def whole(self, stored: bytes) -> bytes:
        """See Bodies; what is staged is there, too."""
        staged = self._staged.get(stored)
        return super().whole(stored) if staged is None else staged

    def write(self) -> None:
        """Make durable what was staged. Raises OSError; then `close` comes next."""
        if not self._staged:
            return
        written = self._at
        for block in self._blocks():
            self._write(block, written)
            written += len(block)
        self._sync()
        self._at = written
        self._staged, self._staged_bytes = {}, 0

    def forget(self, stored: bytes) -> None:
        """Take note that the row with this place is gone, and all rows before it."""
        if is_place(stored):
            self._needed_from = read_place(stored).file

    def sweep(self, sync: Callable[[], None]) -> None:
        """Delete the files of which all bodies are forgotten.

        Before that, `sync` makes it durable that they are. Never raises: what stays costs room only.
        """
        needed_from, self._needed_from = self._needed_from, 0
        unneeded = [file for file in self.files() if file < needed_from] if needed_from else []
        if unneeded and self._sweeps:
            try:
                sync()
                for file in unneeded:
                    self._delete(self.path(file))
            except OSError:  # after a failed sync the next one says nothing
                self._sweeps = False

    def close(self) -> None:
        """Let go of everything, also of what is staged. Idempotent; the next body begins a new file."""
        super().close()
        self._staged, self._staged_bytes, self._file, self._needed_from = {}, 0, 0, 0
        fd, self._fd_to_write = self._fd_to_write, -1
        if fd >= 0:
            os.close(fd)

    def _begin_file(self) -> None:
        fd, self._fd_to_write = self._fd_to_write, -1
        if fd >= 0:
            os.close(fd)
        file = max([*self.files(), self._file]) + 1
        self._fd_to_write = self._create(self.path(file))
        self._file, self._at = file, 0

    def _blocks(self) -> Iterator[memoryview]:
        """Yield what is staged in whole blocks, from memory that is aligned as direct writes need it."""
        buffer = self._buffer = self._buffer or mmap.mmap(-1, _BUFFER_BYTES)
        buffer.seek(0)
        for body in self._staged.values():
            rest = memoryview(body)
            while rest:
                rest = rest[buffer.write(rest[: _BUFFER_BYTES - buffer.tell()]) :]
                if buffer.tell() == _BUFFER_BYTES:
                    yield memoryview(buffer)
                    buffer.seek(0)
        if buffer.tell():
            buffer.write(bytes(-buffer.tell() % _BLOCK_BYTES))
            yield memoryview(buffer)[: buffer.tell()]

    # What touches the disk; the tests' disks are here.

    def _create(self, path: Path) -> int:
        """Create a file, its name durable; return a descriptor to write to it."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            fd = os.open(path, flags | _DIRECT, 0o600)
        except OSError as exc:
            if exc.errno != errno.EINVAL:
                raise
            fd = os.open(path, flags & ~os.O_EXCL, 0o600)  # made, though not to be written directly
        try:
            self._sync_directory(path)
        except OSError:
            os.close(fd)
            raise
        return fd

    def _sync_directory(self, path: Path) -> None:
        fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _write(self, data: memoryview, at: int) -> None:
        try:
            written = os.pwrite(self._fd_to_write, data, at)
        except OSError as exc:
            if exc.errno != errno.EINVAL or not _DIRECT:
                raise
            # A file system with blocks of another size.
            fcntl.fcntl(self._fd_to_write, fcntl.F_SETFL, os.O_WRONLY)
            written = os.pwrite(self._fd_to_write, data, at)
        if written < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _sync(self) -> None:
        os.fdatasync(self._fd_to_write)

    def _delete(self, path: Path) -> None:
        path.unlink()


def _whole_blocks(octets: int) -> int:
    return -(-octets // _BLOCK_BYTES) * _BLOCK_BYTES


def is_place(stored: bytes) -> bool:
    """Say whether a row has this in place of a large body."""
    return stored[:1] == _PLACE_HEAD


def read_place(stored: bytes) -> Place:
    """Read what a row has in place of a large body. Raises RemoteProtocolError."""
    place = cbor.decode(stored)
    if type(place) is not list or len(place) != 3 or not all(map(_is_count, place)):
        raise RemoteProtocolError("its body is neither here nor at a place")
    return Place(*place)


def _is_count(number: object) -> bool:
    return type(number) is int and number >= 0
