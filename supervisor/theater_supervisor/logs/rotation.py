"""A log file that is rotated by renaming: chat.log, chat.log.1, and so on to the oldest.

Blocking file operations and nothing of what the lines say. Whoever follows the name with `tail -F` sees every
line: a file is complete when it is renamed, and the next rotation leaves it time to follow.
"""

import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Final, Protocol

from theater_supervisor.files import open_regular

# tail -F without inotify looks at a name once in 5 s; it must not find that it has changed twice.
FOLLOW_S: Final = 6.0
_WRITE_BYTES: Final = 65536
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT
# As this module writes it: not 01, not 20260101, not the digits of another script.
_NUMBER: Final = re.compile("[1-9][0-9]{0,4}", re.ASCII)


class Budget(Protocol):
    """What all log files together may take."""

    def join(self, file: "RotatingFile") -> None:
        """Take a file into the account."""

    def leave(self, file: "RotatingFile") -> None:
        """Strike a file that is closed."""

    def share_bytes(self) -> int:
        """Return how long one file may get before it is rotated."""

    def make_room(self) -> None:
        """Remove the oldest rotated files, as many as are too much."""


class RotatingFile:
    """Appends lines to `path` and keeps it and its predecessors, `files` in all, of `max_bytes` each.

    A file may grow to twice that when the last rotation is not `follow_s` ago. One that was removed or
    renamed by others is made anew. Raises OSError when it cannot be opened at first; a write that fails later
    is no exception, see `write`.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        files: int,
        *,
        budget: Budget | None = None,
        follow_s: float = FOLLOW_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_bytes = max_bytes
        self.files = files
        self.path = path
        self.error: OSError | None = None
        self._budget = budget
        self._follow_s = follow_s
        self._clock = clock
        self._rotate_from_s = 0.0
        self._torn = False
        self._fd = -1
        self._open()
        if budget is not None:
            budget.join(self)

    @property
    def limit_bytes(self) -> int:
        """How long the file may get before it is rotated."""
        return self.max_bytes if self._budget is None else min(self.max_bytes, self._budget.share_bytes())

    def write(self, lines: Sequence[bytes]) -> int:
        """Append lines, each with its newline; return how many of them are in the file, whole.

        When it is not all of them, `error` says why. What was begun is ended before the next line.
        """
        written = 0
        for chunk, lines_of_it in _chunks(lines):
            try:
                self._prepare(len(chunk))
                self._write_all(chunk)
            except OSError as exc:
                self.error = exc
                return written + self._whole
            written += lines_of_it
        return written

    def reopen(self) -> None:
        """Open the file of that name, whichever it is by now; go on with the old one when that fails."""
        try:
            self._open()
        except OSError as exc:
            self.error = exc

    def close(self) -> None:
        """Close the file. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd != -1:
            os.close(fd)
        if fd != -1 and self._budget is not None:
            self._budget.leave(self)

    def _open(self) -> None:
        try:
            fd = open_regular(self.path, _FLAGS, 0o640)
        except FileNotFoundError:  # the directory was removed, too
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = open_regular(self.path, _FLAGS, 0o640)
        if self._fd != -1:
            os.close(self._fd)
        self._fd = fd
        status = os.fstat(fd)
        self._identity = status.st_dev, status.st_ino
        self._size = status.st_size
        self._torn = False

    def _prepare(self, octets: int) -> None:
        """See to it that the name leads to this file and that it has room."""
        self._whole = 0
        try:
            status = self.path.stat()
            if (status.st_dev, status.st_ino) != self._identity:
                self._open()
            self._size = status.st_size  # others may have cut it
        except FileNotFoundError:
            self._open()
        limit = self.limit_bytes
        wanted = self._size + octets
        if wanted <= limit or not self._size:
            return
        overdue = wanted > 2 * limit
        if overdue or self._clock() >= self._rotate_from_s:
            try:
                self._rotate()
            except OSError:
                if overdue:
                    raise

    def _rotate(self) -> None:
        rotated = dict(_predecessors(self.path))
        free = next(number for number in count(1) if not os.path.lexists(_predecessor(self.path, number)))
        # Each takes the place of the next older one, up to the first free place; others' files keep theirs.
        older = free
        for number in sorted((number for number in rotated if number < free), reverse=True):
            _predecessor(self.path, number).rename(_predecessor(self.path, older))
            older = number
        self.path.rename(_predecessor(self.path, older))
        self._rotate_from_s = self._clock() + self._follow_s
        for _, path in list(_predecessors(self.path))[max(1, self.files - 1) :]:
            path.unlink(missing_ok=True)
        self._open()
        if self._budget is not None:
            self._budget.make_room()

    def _write_all(self, chunk: bytes) -> None:
        data = b"\n" + chunk if self._torn else chunk
        done = 0
        try:
            while done < len(data):
                done += os.write(self._fd, data[done:])
        finally:
            if done:
                self._torn = not data[:done].endswith(b"\n")
                self._size += done
            self._whole = chunk[: max(0, done - len(data) + len(chunk))].count(b"\n")


def generations(path: Path) -> list[Path]:
    """Return the files that are there of a log, the oldest first and `path` itself last."""
    rotated = [predecessor for _, predecessor in _predecessors(path)]
    return [*reversed(rotated), *([path] if path.exists() else [])]


def is_rotated(path: Path) -> bool:
    """Say whether a name and what is there could be a rotated file's; all else in a directory is others'."""
    name, _, number = path.name.rpartition(".")
    if not name.endswith(".log") or not _NUMBER.fullmatch(number):
        return False
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _predecessors(path: Path) -> Iterator[tuple[int, Path]]:
    """Yield the rotated files that are there with their numbers, the newest first."""
    rotated = (found for found in path.parent.iterdir() if found.stem == path.name and is_rotated(found))
    numbers = [int(found.suffix[1:]) for found in rotated]
    for number in sorted(numbers):
        yield number, _predecessor(path, number)


def _predecessor(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _chunks(lines: Sequence[bytes]) -> Iterator[tuple[bytes, int]]:
    """Join lines to writes of a bounded size; yield each with how many lines it has."""
    begin, octets = 0, 0
    for index, line in enumerate(lines):
        if octets and octets + len(line) > _WRITE_BYTES:
            yield b"".join(lines[begin:index]), index - begin
            begin, octets = index, 0
        octets += len(line)
    if octets:
        yield b"".join(lines[begin:]), len(lines) - begin
