"""Reading log files, rotated or not: their last lines, those since a time, and what comes.

Blocking and only reading; the supervisor need not run. Which lines are shown, and how, is ctl_logs.py's.
"""

import datetime
import heapq
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from theater_supervisor.files import open_regular
from theater_supervisor.logs.rotation import generations

POLL_S: Final = 0.25
_BLOCK_BYTES: Final = 64 * 1024
_STAMP_CHARS: Final = 27  # 2026-11-22T19:07:02.123456Z
_JSON_STAMP: Final = '"timestamp": "'


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a log, and whose log it is."""

    log: str
    text: str

    @property
    def stamp(self) -> str:
        """When it was written, UTC; "" where the line does not say."""
        if self.text[:1] != "{":
            return self.text[:_STAMP_CHARS]
        _, found, rest = self.text.rpartition(_JSON_STAMP)
        return rest[:_STAMP_CHARS] if found else ""


def log_path(var: Path, name: str) -> Path:
    """Return where a log is."""
    return var / "log" / f"{name}.log"


def log_names(var: Path) -> list[str]:
    """Return the names of all logs that are there, the supervisor's own included."""
    return sorted(path.name.removesuffix(".log") for path in (var / "log").glob("*.log") if path.is_file())


def last(name: str, path: Path, count: int) -> list[Entry]:
    """Return the last `count` lines over all rotated files, oldest first."""
    found: list[str] = []
    for file in reversed(generations(path)):
        if len(found) < count:
            found = _tail(file, count - len(found)) + found
    return [Entry(name, text) for text in found]


def since(name: str, path: Path, begin: datetime.datetime) -> Iterator[Entry]:
    """Yield the lines that were written at `begin` (UTC) or later, oldest first."""
    stamp = f"{begin:%Y-%m-%dT%H:%M:%S.%f}Z"
    for file in generations(path):
        if _written_at(file) < begin.timestamp():
            continue
        with _opened(file) as stream:
            for raw in stream:
                entry = Entry(name, _text(raw))
                if entry.stamp >= stamp:
                    yield entry


def merged(logs: Sequence[Iterator[Entry] | list[Entry]]) -> Iterator[Entry]:
    """Merge the lines of several logs by their times."""
    return heapq.merge(*logs, key=lambda entry: entry.stamp)


class Follower:
    """The lines that come to a log, across its rotations; it starts at the end of what is there now."""

    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self._path = path
        self._rest = b""
        self._stream: BinaryIO | None = self._open()
        if self._stream is not None:
            self._stream.seek(0, os.SEEK_END)

    def new(self) -> Iterator[Entry]:
        """Yield what has come since the last time."""
        self._go_back_if_cut()
        yield from self._read()
        while self._is_replaced():
            self.close()
            self._stream = self._open()
            yield from self._read()

    def close(self) -> None:
        """Give the file back."""
        if self._stream is not None:
            self._stream.close()

    def _read(self) -> Iterator[Entry]:
        while self._stream is not None and (data := self._stream.read(_BLOCK_BYTES)):
            *lines, self._rest = (self._rest + data).split(b"\n")
            yield from (Entry(self._name, _text(line)) for line in lines)

    def _go_back_if_cut(self) -> None:
        """Begin anew with a file that others have made shorter, as logrotate's `copytruncate` does."""
        if self._stream is not None and os.fstat(self._stream.fileno()).st_size < self._stream.tell():
            self._stream.seek(0)
            self._rest = b""

    def _is_replaced(self) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        if self._stream is None:
            return True
        here = os.fstat(self._stream.fileno())
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)

    def _open(self) -> BinaryIO | None:
        try:
            return os.fdopen(open_regular(self._path), "rb", buffering=0)
        except FileNotFoundError:
            return None


def follow(paths: Mapping[str, Path]) -> Iterator[Entry]:
    """Yield what comes to any of the logs, for ever."""
    with ExitStack() as stack:
        followers = [stack.enter_context(closing(Follower(name, path))) for name, path in paths.items()]
        while True:
            yield from merged([list(follower.new()) for follower in followers])
            time.sleep(POLL_S)


def _tail(file: Path, count: int) -> list[str]:
    with _opened(file) as stream:
        position = stream.seek(0, os.SEEK_END)
        data = b""
        while position and data.count(b"\n") <= count:
            step = min(_BLOCK_BYTES, position)
            position -= step
            stream.seek(position)
            data = stream.read(step) + data
    return [_text(line) for line in data.splitlines(keepends=True)[-count:]] if count else []


def _opened(file: Path) -> BinaryIO:
    return os.fdopen(open_regular(file), "rb")


def _written_at(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except FileNotFoundError:  # rotated away meanwhile
        return 0.0


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\n").decode("utf-8", "backslashreplace")
