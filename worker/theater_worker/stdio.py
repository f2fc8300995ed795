"""The worker's file descriptors: the wire moved out of everyone's reach, and log lines.

Nothing in the process writes to the wire but loop.py, which is given its descriptors. A log line on stderr is
`\\x1e`, one letter for its stream, the text, `\\n`; the supervisor reads a line without the mark as E.
"""

import contextlib
import fcntl
import os
from typing import Final, Literal

Stream = Literal["O", "E", "L", "D"]  # guest's stdout, stderr; the actor's log; debug
MARK: Final = "\x1e"

_FIRST_HIGH_FD: Final = 64


def claim_wire() -> tuple[int, int]:
    """Move the protocol's pipes aside and return their descriptors, to read from and to write to.

    Afterwards stdin is /dev/null and stdout goes to stderr, for this process and whatever it links.
    """
    read_fd = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, _FIRST_HIGH_FD)
    write_fd = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, _FIRST_HIGH_FD)
    null_fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null_fd, 0)
    os.dup2(2, 1)
    os.close(null_fd)
    return read_fd, write_fd


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`, waiting while the pipe is full. Raises BrokenPipeError when nobody reads."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def log(stream: Stream, text: str) -> None:
    """Write `text` to the log, one marked line for each of its lines."""
    lines = "".join(f"{MARK}{stream}{line}\n" for line in text.split("\n"))
    # Without a reader the supervisor is gone, and the wire's end of file is about to say so.
    with contextlib.suppress(BrokenPipeError):
        write_all(2, lines.encode("utf-8", "backslashreplace"))
