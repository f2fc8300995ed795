"""Opening files that are files, and writing those that others read at any moment."""

import errno
import os
import stat
from pathlib import Path
from typing import Final


class NotRegular(OSError):
    """Where a file is wanted there is something else; `strerror` says what."""


_KINDS: Final = {
    stat.S_IFDIR: (errno.EISDIR, "is a directory, not a file"),
    stat.S_IFIFO: (errno.EINVAL, "is a pipe, not a file"),
    stat.S_IFSOCK: (errno.EINVAL, "is a socket, not a file"),
    stat.S_IFCHR: (errno.EINVAL, "is a device, not a file"),
    stat.S_IFBLK: (errno.EINVAL, "is a device, not a file"),
}


def open_regular(path: Path, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """Open a regular file, never waiting for who is behind a pipe or a device; return its descriptor.

    Raises OSError, NotRegular for anything that is no regular file.
    """
    if not flags & os.O_CREAT:
        # Opening a device may do something, such as rewind a tape.
        check_regular(path.stat().st_mode, path)
    try:
        fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, mode)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.EISDIR):  # a pipe without a reader, a socket; a directory
            check_regular(path.stat().st_mode, path)
        raise
    try:
        check_regular(os.fstat(fd).st_mode, path)
        os.set_blocking(fd, True)
    except BaseException:
        os.close(fd)
        raise
    return fd


def check_regular(mode: int, path: Path) -> None:
    """Raise NotRegular unless `mode`, of `path`, is a regular file's."""
    if not stat.S_ISREG(mode):
        number, what = _KINDS.get(stat.S_IFMT(mode), (errno.EINVAL, "is not a file"))
        raise NotRegular(number, what, str(path))


def read_regular(path: Path) -> bytes:
    """Return the content of a regular file. Raises what `open_regular` raises."""
    with os.fdopen(open_regular(path), "rb") as file:
        return file.read()


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content so that a reader finds the old one or the new one. Raises OSError."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(open_regular(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), "wb") as file:
            file.write(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
