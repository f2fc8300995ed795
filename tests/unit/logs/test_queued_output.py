"""Text to a standard stream, whatever is behind it: pipes that nobody reads, closed ones, a full disk."""

import contextlib
import os
import select
import time
from collections.abc import Iterator
from io import TextIOWrapper
from typing import BinaryIO, cast

import pytest

from theater_supervisor.logs.queued_output import QueuedOutput, close_all

PATIENCE_S = 30.0
LINE = "x" * 999 + "\n"


class Pipe:
    """A pipe with a stream to write to, and what was read of it."""

    def __init__(self, *, blocking: bool) -> None:
        self.read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.write_fd, blocking)
        self.stream = TextIOWrapper(
            cast(BinaryIO, os.fdopen(self.write_fd, "wb", buffering=0, closefd=False))
        )
        self.seen = b""

    def read_until(self, text: bytes) -> bytes:
        """Read on until `text` has come; return all that has."""
        while text not in self.seen:
            self.read_more()
        return self.seen

    def read_more(self) -> None:
        """Read what comes next."""
        assert select.select([self.read_fd], [], [], PATIENCE_S)[0], "nothing comes any more"
        self.seen += os.read(self.read_fd, 65536)


@pytest.fixture(params=[True, False], ids=["blocking", "non-blocking"])
def pipe(request: pytest.FixtureRequest) -> Iterator[Pipe]:
    """One whose ends are closed afterwards."""
    pipe = Pipe(blocking=request.param)
    yield pipe
    pipe.stream.detach()
    for fd in (pipe.read_fd, pipe.write_fd):
        with contextlib.suppress(OSError):
            os.close(fd)


def wait_until_dropped(output: QueuedOutput, count: int) -> None:
    """Wait for the writer's thread to have given up so many lines."""
    until_s = time.monotonic() + PATIENCE_S
    while output.dropped_lines < count:
        assert time.monotonic() < until_s
        time.sleep(0.001)


def test_what_a_reader_has_no_time_for_is_dropped_and_told(pipe: Pipe) -> None:
    """A bounded number of lines waits; those that are read again are whole, and say how many are missing."""
    output = QueuedOutput(pipe.stream, name="stderr", mark="<4>", max_bytes=100_000)
    for _ in range(1000):
        output.write(LINE)
    dropped = output.dropped_lines
    assert 1000 - 165 - 66 <= dropped < 1000  # at most 100,000 bytes wait, and a pipe and a write more
    seen = pipe.read_until(LINE.encode() * 30)
    output.write("again\n")
    seen = pipe.read_until(b"again\n")
    told = f"<4>theater-supervise: {dropped} lines to stderr were dropped\n".encode()
    assert seen.count(told) == 1
    assert seen.replace(told, b"") == LINE.encode() * (1000 - dropped) + b"again\n"
    output.close(PATIENCE_S)


def test_without_a_reader_all_is_dropped_and_nothing_raised(pipe: Pipe) -> None:
    """Every line is counted."""
    output = QueuedOutput(pipe.stream, name="stdout")
    os.close(pipe.read_fd)
    output.write("one\n")
    wait_until_dropped(output, 1)
    output.write("two\nthree\n")
    wait_until_dropped(output, 3)
    output.close(PATIENCE_S)


def test_closing_does_not_wait_for_ever(pipe: Pipe) -> None:
    """What is written before it leaves, if it can; what nobody reads does not hold the end up."""
    output, other = QueuedOutput(pipe.stream, name="stdout"), QueuedOutput(pipe.stream, name="stderr")
    output.write("last words\n")
    close_all((output, other), PATIENCE_S)
    assert pipe.read_until(b"words\n") == b"last words\n"
    unread = QueuedOutput(pipe.stream, name="stdout")
    for _ in range(500):
        unread.write(LINE)
    close_all((unread,), 0.05)
    unread.write("too late\n")
    assert unread.dropped_lines == 1
    while pipe.seen.count(LINE.encode()) < 500:
        pipe.read_more()


def test_a_full_disk_costs_the_lines_only() -> None:
    """They are counted."""
    with open("/dev/full", "w") as full:  # noqa: PTH123
        output = QueuedOutput(full, name="stderr")
        output.write("one\ntwo\n")
        wait_until_dropped(output, 2)
        output.close(PATIENCE_S)
