"""A guest's output as log lines: joined, split, bounded."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theater_worker.output import GuestOutput
from theater_worker.stdio import Stream


class Log:
    """Keeps what is emitted."""

    def __init__(self, max_bytes: int = 1000) -> None:
        self.lines: list[tuple[Stream, str]] = []
        self.output = GuestOutput(self._take, max_bytes)

    def _take(self, stream: Stream, text: str) -> None:
        self.lines += [(stream, line) for line in text.split("\n")]


@given(st.text(st.sampled_from("ab\n"), max_size=30), st.lists(st.integers(0, 30), max_size=5))
def test_lines_do_not_depend_on_how_they_were_written(text: str, cuts: list[int]) -> None:
    """Any cutting of the same bytes gives the same lines."""
    log = Log()
    places = [0, *sorted(cuts), len(text)]
    for start, end in itertools.pairwise(places):
        log.output.write("O", text[start:end].encode())
    log.output.end_call()
    expected = text.split("\n")
    assert log.lines == [("O", line) for line in (expected if expected[-1] else expected[:-1])]


def test_a_complete_line_does_not_wait() -> None:
    """Lines are emitted as they are completed, the rest at the end of the call."""
    log = Log()
    log.output.write("O", b"one\ntw")
    assert log.lines == [("O", "one")]
    log.output.write("O", b"o")
    log.output.end_call()
    assert log.lines == [("O", "one"), ("O", "two")]


def test_streams_do_not_mix() -> None:
    """Partial lines of two streams stay apart."""
    log = Log()
    for stream, data in (("O", b"out"), ("E", b"err"), ("O", b"put\n"), ("E", b"or\n")):
        log.output.write(stream, data)  # type: ignore[arg-type]
    assert log.lines == [("O", "output"), ("E", "error")]


@pytest.mark.parametrize("pieces", [1, 7, 100])
def test_dropped_bytes_are_counted_exactly(pieces: int) -> None:
    """Beyond the bound nothing is kept and every byte is counted, over all streams of the call."""
    log = Log(max_bytes=10)
    for _ in range(pieces):
        log.output.write("O", b"123456")
    log.output.line("L", "abcdef")
    log.output.end_call()
    kept = sum(len(text) for _, text in log.lines[:-1]) if len(log.lines) > 1 else 0
    assert kept == 10
    dropped = pieces * 6 + 6 - 10
    assert log.lines[-1] == ("E", f"{dropped} bytes of output dropped: a call may print 10 bytes")


def test_each_call_has_its_own_bound() -> None:
    """What one call printed does not shorten the next."""
    log = Log(max_bytes=5)
    for _ in range(2):
        log.output.line("L", "12345")
        log.output.end_call()
    assert log.lines == [("L", "12345")] * 2


def test_bytes_that_are_no_utf8_are_escaped() -> None:
    """Log lines are always text."""
    log = Log()
    log.output.write("E", b"\xff\xfea\n")
    assert log.lines == [("E", "\\xff\\xfea")]


def test_an_empty_line_is_a_line() -> None:
    """Nothing logged on purpose is still logged."""
    log = Log()
    log.output.line("L", "")
    assert log.lines == [("L", "")]
