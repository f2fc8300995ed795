"""Joining pieces of messages."""

from itertools import pairwise

import pytest

from theater_supervisor.gateway.connection.message import MessageAssembler, MessageTooBig, TooManyFragments


@pytest.mark.parametrize("cuts", [(), (0,), (1,), (3, 3, 4), (0, 0, 9), tuple(range(10))])
@pytest.mark.parametrize("message", ["a\r\nb\nc\rdef", "ÄöÜ☃𝄞é\u2028xyz", b"\r\n\0\xff123456"])
def test_a_message_is_whole_however_it_is_cut(message: str | bytes, cuts: tuple[int, ...]) -> None:
    """One after another, with the pieces of the last one forgotten."""
    assembler = MessageAssembler(100, 100, 10)
    pieces = [message[start:end] for start, end in pairwise((0, *cuts, len(message)))]
    for _ in range(2):
        assert [assembler.add(piece, False) for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
        assert assembler.add(pieces[-1], True) == message


@pytest.mark.parametrize("piece", ["x" * 10, "é" * 5, "☃☃☃x", b"\xff" * 10])
def test_the_bound_is_inclusive_and_counts_bytes(piece: str | bytes) -> None:
    """Ten bytes fit into ten, one more doesn't, in one piece or two."""
    extra = "x" if isinstance(piece, str) else b"x"
    assert MessageAssembler(10, 100, 10).add(piece, True) == piece
    with pytest.raises(MessageTooBig):
        MessageAssembler(9, 100, 10).add(piece, True)
    assembler = MessageAssembler(10, 100, 10)
    assembler.add(piece, False)
    with pytest.raises(MessageTooBig):
        assembler.add(extra, False)


def test_each_message_has_the_whole_bound() -> None:
    """The size of one message doesn't count for the next."""
    assembler = MessageAssembler(10, 100, 10)
    assert [assembler.add(b"x" * 10, True) for _ in range(3)] == [b"x" * 10] * 3


def test_fragments_are_counted_and_empty_ones_more_strictly() -> None:
    """Ten empty ones are fine, the eleventh isn't; neither is the hundred and first of all."""
    assembler = MessageAssembler(1000, 100, 10)
    for _ in range(10):
        assert assembler.add(b"", False) is None
    with pytest.raises(TooManyFragments):
        assembler.add(b"", False)
    assembler = MessageAssembler(1000, 100, 10)
    for _ in range(100):
        assert assembler.add(b"x", False) is None
    with pytest.raises(TooManyFragments):
        assembler.add(b"x", False)


def test_pieces_of_a_frame_are_no_fragments() -> None:
    """A long frame comes in as many pieces as the network likes."""
    assembler = MessageAssembler(1000, 1, 1)
    for _ in range(50):
        assert assembler.add(b"x", False, frame_finished=False) is None
    assert assembler.add(b"x", True) == b"x" * 51
