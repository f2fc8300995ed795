"""The load's frames and how it counts echoes, held against the WebSocket library."""

import itertools
from collections.abc import Sequence

import pytest
from benchmarks.hold import pong
from benchmarks.load import completed, echo_bytes, message_frame
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, Ping, Pong, TextMessage

SIZES = [0, 1, 16, 125, 126, 65535, 65536, 1 << 20]


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
@pytest.mark.parametrize("size", SIZES)
def test_a_server_reads_the_message_and_echoes_as_many_bytes_as_are_counted(size: int, binary: bool) -> None:
    """Every length of frame head, both kinds."""
    server = Connection(ConnectionType.SERVER)
    server.receive_data(message_frame(size, binary))
    (event,) = server.events()
    assert isinstance(event, BytesMessage if binary else TextMessage)
    assert len(event.data) == size
    assert event.message_finished
    assert len(server.send(event)) == echo_bytes(size)


@pytest.mark.parametrize(
    "reads", [[18] * 4, [72], [1] * 72, [17, 2, 35, 18], [71, 1]], ids=lambda reads: f"{len(reads)} reads"
)
def test_every_echo_is_counted_once_however_it_is_cut(reads: Sequence[int]) -> None:
    """Four echoes of 18 bytes are four, whatever a read brings."""
    ends = list(itertools.accumulate(reads, initial=0))
    assert sum(completed(before, after, 18) for before, after in itertools.pairwise(ends)) == 4


@pytest.mark.parametrize("payload", [b"", b"1234567", b"x" * 125], ids=len)
def test_a_ping_is_answered_with_its_payload(payload: bytes) -> None:
    """Idle connections pass the server's keepalive."""
    server = Connection(ConnectionType.SERVER)
    server.receive_data(pong(server.send(Ping(payload))))
    (event,) = server.events()
    assert isinstance(event, Pong)
    assert event.payload == payload


def test_anything_but_a_ping_is_an_error() -> None:
    """An idle connection that is sent a text isn't idle."""
    with pytest.raises(ValueError, match="not a ping"):
        pong(b"\x81\x02hi")
