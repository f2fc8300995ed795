"""The short way for frames and wsproto agree on everything, however the bytes are cut."""

from hypothesis import example, given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.frame_protocol import FrameProtocol

from theater_supervisor.gateway.connection.frames import FrameSplitter, Part, Passed, message_frame

SHORT = 200


def masked(first: int, payload: bytes, *, key: bytes = b"\x11\x00\xff\x80", mask: bool = True) -> bytes:
    """A client's frame, right or wrong."""
    size = len(payload)
    bit = 0x80 if mask else 0
    if size < 126:
        head = bytes([first, bit | size])
    elif size <= 0xFFFF:
        head = bytes([first, bit | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, bit | 127]) + size.to_bytes(8, "big")
    body = bytes(octet ^ key[i % 4] for i, octet in enumerate(payload))
    return head + (key + body if mask else payload)


def longer_form(payload: bytes, code: int, first: int = 0x81) -> bytes:
    """A frame whose length has two or eight bytes that it may not need."""
    size = len(payload).to_bytes(2 if code == 126 else 8, "big")
    return bytes([first, 0x80 | code]) + size + bytes(4) + payload


FRAMES = st.one_of(
    st.builds(
        longer_form,
        st.binary(max_size=140).map(lambda octets: octets.hex().encode()),
        st.sampled_from([126, 127]),
    ),
    st.builds(longer_form, st.binary(max_size=400), st.sampled_from([126, 127]), st.just(0x82)),
    st.builds(masked, st.sampled_from([0x81, 0x82]), st.text(max_size=60).map(str.encode)),
    st.builds(masked, st.just(0x81), st.binary(max_size=20)),
    st.builds(masked, st.sampled_from([0x82]), st.binary(min_size=120, max_size=400)),
    st.builds(masked, st.sampled_from([0x01, 0x02, 0x00, 0x80]), st.binary(max_size=20)),
    st.builds(masked, st.sampled_from([0x89, 0x8A]), st.binary(max_size=130)),
    st.builds(
        masked, st.just(0x88), st.sampled_from([b"", b"\x03\xe8", b"\x03\xe8bye", b"\x00", b"\x03\xed"])
    ),
    st.builds(masked, st.integers(0, 255), st.binary(max_size=5), mask=st.booleans()),
    st.binary(max_size=12),
)


def seen(events: list[Event]) -> list[object]:
    """What events mean: messages joined, the end as its code."""
    found: list[object] = []
    parts: list[str | bytes] = []
    for event in events:
        match event:
            case TextMessage() | BytesMessage():
                parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
                if event.message_finished:
                    found.append(("" if isinstance(parts[0], str) else b"").join(parts))  # type: ignore[arg-type]
                    parts = []
            case Ping() | Pong():
                found.append((type(event).__name__, bytes(event.payload)))
            case CloseConnection():
                found.append(("close", event.code))
                break
    return found


def through_wsproto(chunks: list[bytes]) -> list[object]:
    """The judge: everything through wsproto."""
    connection = Connection(ConnectionType.SERVER)
    events: list[Event] = []
    for chunk in chunks:
        connection.receive_data(chunk)
        events += connection.events()
        if any(isinstance(event, CloseConnection) for event in events):
            break
    return seen(events)


def the_short_way(chunks: list[bytes]) -> list[object]:
    """Through the splitter first, the rest through wsproto."""
    connection, splitter = Connection(ConnectionType.SERVER), FrameSplitter(SHORT)
    events: list[Event] = []
    for chunk in chunks:
        for piece in splitter.feed(chunk):
            if isinstance(piece, Passed):
                assert piece.data is not None
                connection.receive_data(piece.data)
                events += connection.events()
            elif isinstance(piece, Part):
                events.append(BytesMessage(piece.data, message_finished=piece.finished))
            elif isinstance(piece, str):
                events.append(TextMessage(piece))
            else:
                events.append(BytesMessage(piece))
            if any(isinstance(event, CloseConnection) for event in events):
                return seen(events)
    return seen(events)


@settings(max_examples=500, deadline=None)
@given(st.lists(FRAMES, max_size=8), st.integers(1, 300))
@example([masked(0x81, b"\xff")], 1)
@example([masked(0x01, b"a"), masked(0x81, b"b")], 50)
@example([masked(0x81, b"x" * 126), masked(0x82, b"y" * SHORT), masked(0x82, b"z" * (SHORT + 1))], 7)
@example([masked(0x82, bytes(range(256)) * 256), masked(0x82, b"x" * 70_000), masked(0x81, b"a")], 299)
@example([masked(0x02, b"a"), masked(0x82, b"b" * 300)], 50)
def test_both_ways_see_the_same(frames: list[bytes], step: int) -> None:
    """Messages, pings, pongs and the code of the end are those that wsproto alone reports."""
    data = b"".join(frames) + masked(0x89, b"the end") * 60
    chunks = [data[at : at + step] for at in range(0, len(data), step)]
    assert the_short_way(chunks) == through_wsproto(chunks)


@given(st.one_of(st.text(max_size=300), st.binary(max_size=300), st.just("x" * 70_000), st.just(b"y" * 126)))
def test_frames_are_wsproto_s(message: str | bytes) -> None:
    """A message's frame is byte for byte the one that wsproto makes."""
    assert message_frame(message) == FrameProtocol(False, []).send_data(message)
