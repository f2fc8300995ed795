"""permessage-deflate: what is agreed on, and that nothing inflates over its bound."""

import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theater_supervisor.gateway.connection.deflate import (
    Agreement,
    Deflater,
    InflatedTooBig,
    Inflater,
    NotDeflated,
    agree,
)

NAME = "permessage-deflate"


def deflated(data: bytes, bits: int = 15) -> bytes:
    """A client's compressed message."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -bits)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize(
    ("offers", "parameters"),
    [
        ([NAME], ""),
        ([f"{NAME}; client_max_window_bits"], ""),
        ([f"{NAME}; client_max_window_bits=10"], "client_max_window_bits=10"),
        ([f'{NAME}; client_max_window_bits="10"'], "client_max_window_bits=10"),
        ([f"{NAME};server_max_window_bits=9"], "server_max_window_bits=9"),
        ([f"{NAME}; server_no_context_takeover"], "server_no_context_takeover"),
        ([f"{NAME}; client_no_context_takeover"], "client_no_context_takeover"),
        (
            [f"{NAME}; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12"],
            "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
        ),
        ([f"{NAME}; server_max_window_bits=8, {NAME}"], ""),
        ([f"{NAME}; unknown", f"x-other, {NAME}; client_no_context_takeover"], "client_no_context_takeover"),
        ([f'x-other; a="b, {NAME}"', NAME], ""),
        ([f"{NAME}; server_max_window_bits"], None),
        ([f"{NAME}; server_max_window_bits=16"], None),
        ([f"{NAME}; server_max_window_bits=015"], None),
        ([f"{NAME}; client_max_window_bits=7"], None),
        ([f"{NAME}; client_max_window_bits="], None),
        ([f"{NAME}; server_no_context_takeover=1"], None),
        ([f"{NAME}; client_no_context_takeover; client_no_context_takeover"], None),
        (["x-webkit-deflate-frame"], None),
        ([""], None),
        ([], None),
    ],
)
def test_the_first_acceptable_offer_is_taken(offers: list[str], parameters: str | None) -> None:
    """An offer with anything unknown, repeated or malformed in it is passed over (RFC 7692 section 7.1)."""
    agreed = agree(offers)
    assert (agreed.parameters() if agreed else None) == parameters


@given(
    messages=st.lists(st.binary(max_size=3000), max_size=6),
    takeover=st.booleans(),
    bits=st.sampled_from([None, 9, 10, 12, 15]),
)
def test_what_is_deflated_inflates_to_the_same(
    messages: list[bytes], takeover: bool, bits: int | None
) -> None:
    """Whatever the parameters, one message after another, empty ones too."""
    ours = Deflater(Agreement(server_no_context_takeover=not takeover, server_max_window_bits=bits))
    theirs = Inflater(Agreement(client_no_context_takeover=not takeover, client_max_window_bits=15), 3000)
    for message in messages:
        sent = ours.message(message)
        assert sent
        half = len(sent) // 2
        assert theirs.feed(sent[:half]) + theirs.feed(sent[half:]) + theirs.finish() == message


@pytest.mark.parametrize("step", [1, 1000, 10**9])
def test_the_bound_is_inclusive_for_each_message(step: int) -> None:
    """Exactly the bound passes, twice; one byte more doesn't, however it is cut."""
    inflater = Inflater(Agreement(client_no_context_takeover=True), 5000)

    def inflate(data: bytes) -> bytes:
        pieces = [inflater.feed(data[at : at + step]) for at in range(0, len(data), step)]
        return b"".join(pieces) + inflater.finish()

    for _ in range(2):
        assert inflate(deflated(bytes(5000))) == bytes(5000)
    with pytest.raises(InflatedTooBig):
        inflate(deflated(bytes(5001)))


def test_a_bomb_is_refused_before_it_is_inflated() -> None:
    """A gigabyte of zeros in a megabyte costs no more memory than the bound allows."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(stream.compress(bytes(1 << 20)) for _ in range(1024)) + stream.flush(zlib.Z_SYNC_FLUSH)
    tracemalloc.start()
    try:
        with pytest.raises(InflatedTooBig):
            Inflater(Agreement(), 1 << 20).feed(bomb)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("data", [b"\xff", b"\x06", b"\x00\x01\x00\x00\x00"])
def test_what_is_no_deflate_data_is_said_to_be(data: bytes) -> None:
    """Reserved block types and wrong lengths."""
    with pytest.raises(NotDeflated):
        Inflater(Agreement(), 1000).feed(data * 3)


def test_a_final_block_ends_the_stream_and_not_the_connection() -> None:
    """RFC 7692 section 7.2.3.4; a message with very many of them is refused."""
    final = zlib.compressobj(9, zlib.DEFLATED, -15)
    once = final.compress(b"Hello") + final.flush(zlib.Z_FINISH)
    inflater = Inflater(Agreement(), 1000)
    for _ in range(2):
        assert inflater.feed(once + b"\0") + inflater.finish() == b"Hello"
    with pytest.raises(NotDeflated):
        inflater.feed(once * 100)
