"""Frames: what is encoded comes back, and nothing but well-formed frames of the right side is accepted."""

import importlib.resources

import pytest
from cddl_verifier import Validator
from hypothesis import given
from hypothesis import strategies as st

from theater_protocol import cbor, framing
from theater_protocol.errors import LocalProtocolError, RemoteProtocolError
from theater_protocol.interface2.effects import (
    EVERYONE,
    Accept,
    Attach,
    CancelTimer,
    Close,
    Effect,
    Join,
    Leave,
    Refuse,
    Send,
    SetTimer,
    ToConnection,
    ToConnections,
    ToRoom,
)
from theater_protocol.interface2.events import (
    Configure,
    Connect,
    Disconnect,
    Ending,
    Handshake,
    Identity,
    Message,
    Timer,
)
from theater_protocol.items import (
    all_from_worker,
    all_to_worker,
    encode_frames,
    from_worker,
    to_item,
    to_worker,
)
from theater_protocol.messages import (
    Changed,
    Deferred,
    Deliver,
    Deliver2,
    FromWorker,
    LedgerLimits,
    Limits,
    Ready,
    Reply,
    Result,
    Result2,
    Start,
    Start2,
    Stop,
    ToWorker,
    Unchanged,
)

HASH = bytes(range(32))
LEDGER: list[object] = [2, [[1, "ann"], [2, ""]], [["red", [1]]], [["tick", 5, 1000], ["tock", 6, None]]]
EFFECTS: tuple[Effect, ...] = (
    Accept("x"),
    Refuse(403, "no"),
    Send(EVERYONE, "a", (1, 2), True),
    Send(ToConnection(1), b"b"),
    Send(ToConnections((1, 2)), ""),
    Close(ToRoom("red"), 4000, "bye"),
    Join(1, "red"),
    Leave(1, "red"),
    Attach(1, "ann"),
    SetTimer("t", 5),
    SetTimer("t", 5, 1000),
    CancelTimer("t"),
)
TO_WORKER: list[ToWorker] = [
    Start("chat", "/cache/x.cwasm", HASH, Limits(5_000_000, 1 << 28), HASH, None),
    Start("chat", "/cache/x.cwasm", HASH, Limits(1, 1), HASH, b"state"),
    Deliver(1, 0, "init", 1_700_000_000_000_000, "chat"),
    Deliver(2, 1, "connect", 0, None),
    Deliver(3, 1, "text", 5, "grüße"),
    Deliver(4, 1, "binary", 5, b"\x00\xff"),
    Deliver(5, 1, "ping", 5, b""),
    Deliver(6, 1, "pong", 5, b"x"),
    Deliver((1 << 63) - 1, 1, "close", 5, None),
    Start2(Start("chat", "/x", HASH, Limits(1, 1), HASH, None), LEDGER, LedgerLimits()),
    Deliver2(1, 5, Configure("chat", "red", (("a", "b"),))),
    Deliver2(2, 5, Connect(1, Handshake("/", "q", (("a", "b"),), ("x",), Identity("ann", "{}"), "::1"))),
    Deliver2(3, 5, Connect(2, Handshake("/"))),
    Deliver2(4, 5, Message(1, "grüße")),
    Deliver2(5, 5, Message(1, b"\x00\xff")),
    Deliver2(6, 5, Disconnect(1, Ending(1006, "", False, "client"))),
    Deliver2(7, 5, Timer("tick", 4)),
    Stop(),
]
FROM_WORKER: list[FromWorker] = [
    Ready(HASH, True, 2),
    Result(1, "ok", None, (), None, Changed(None)),
    Result(
        2, "ok", None, (Reply("text", ""), Reply("binary", b"b"), Reply("close", None)), HASH, Changed(b"s")
    ),
    Result(3, "ok", None, (Reply("ping", b"1"), Reply("pong", b"2")), HASH, Deferred()),
    Result(4, "err", "no such room", (), HASH, Unchanged()),
    Result(5, "trap", "unreachable", (), HASH, Deferred()),
    Result(6, "timeout", "5 s", (), None, Unchanged()),
    Result2(7, "ok", None, EFFECTS, HASH, Changed(b"s"), HASH),
    Result2(8, "err", "why", (), None, Unchanged(), HASH),
    Result2(9, "skipped", None, (), None, Deferred(), HASH),
]
SCHEMA = Validator((importlib.resources.files("theater_protocol") / "frames.cddl").read_text())


def wire(frames: list[ToWorker] | list[FromWorker]) -> bytes:
    """The frames as bytes."""
    return b"".join(framing.encode_frame(to_item(frame)) for frame in frames)


TEXTS = st.one_of(st.text(max_size=40), st.sampled_from(["grüße" * 5000, "x" * (1 << 16)]))
OCTETS = st.one_of(st.binary(max_size=300), st.integers(16380, 70_000).map(bytes))
ITEMS = st.recursive(
    st.one_of(st.integers(0, (1 << 64) - 1), st.none(), st.booleans(), TEXTS, OCTETS),
    lambda items: st.lists(items, max_size=30),
    max_leaves=60,
)


@given(st.lists(ITEMS, max_size=30))
def test_the_parts_of_an_item_are_its_encoding(item: list[object]) -> None:
    """Whatever is in it and however long that is, down to the shortest form of each head."""
    assert b"".join(cbor.encode_in_parts(item)) == cbor.encode(item)


def test_the_long_way_refuses_what_the_short_one_does() -> None:
    """Text that UTF-8 cannot hold, and a frame over the limit."""
    with pytest.raises(LocalProtocolError, match="cannot encode"):
        cbor.encode_in_parts(["\ud800" * (1 << 16)])
    with pytest.raises(LocalProtocolError, match="over the limit"):
        framing.encode_large_frame([bytes(framing.MAX_FRAME_BYTES)])


def test_large_frames_travel_as_small_ones_do() -> None:
    """A message of a MiB, before and behind small ones, comes out as it went in, both ways."""
    large = bytes(range(256)) * 4096
    down: list[ToWorker] = [Deliver(1, 1, "text", 5, "a"), Deliver(2, 1, "binary", 5, large), Stop()]
    up: list[FromWorker] = [
        Result(
            1, "ok", None, (Reply("binary", large), Reply("text", "grüße" * 50_000)), HASH, Changed(large)
        ),
        Result(2, "ok", None, (), HASH, Unchanged()),
    ]
    assert all_to_worker(framing.FrameDecoder().feed(encode_frames(down))) == down
    assert all_from_worker(framing.FrameDecoder().feed(encode_frames(up))) == up


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000, 1 << 20])
def test_frames_survive_any_chopping(step: int) -> None:
    """However the bytes are cut, the same frames come out, in order."""
    data = wire(TO_WORKER)
    decoder = framing.FrameDecoder()
    items = [item for at in range(0, len(data), step) for item in decoder.feed(data[at : at + step])]
    assert [to_worker(item) for item in items] == TO_WORKER
    assert decoder.buffered_bytes == 0


def test_results_come_back_as_sent() -> None:
    """Every kind of a worker's frame decodes to what was encoded."""
    items = framing.FrameDecoder().feed(wire(FROM_WORKER))
    assert [from_worker(item) for item in items] == FROM_WORKER


@pytest.mark.parametrize("frame", [*TO_WORKER, *FROM_WORKER], ids=repr)
def test_real_frames_fit_the_cddl(frame: ToWorker | FromWorker) -> None:
    """frames.cddl says what is really sent."""
    assert SCHEMA.validate(cbor.encode(to_item(frame))).valid


@pytest.mark.parametrize(
    "item",
    [
        [2, 1, 1, "text", 5, b"octets"],
        [2, 1, 1, "hello", 5, None],
        [17, 1, "fine", None, [], None, "unchanged"],
        [17, 1, "ok", None, [["connect", None]], None, "unchanged"],
        [17, 1, "ok", None, [], b"short", "unchanged"],
        [16, HASH],
        [3, 3],
    ],
    ids=repr,
)
def test_what_the_cddl_refuses_is_refused_here(item: list[object]) -> None:
    """The schema and the decoder draw the same line."""
    assert not SCHEMA.validate(cbor.encode(item)).valid
    for read in (to_worker, from_worker):
        with pytest.raises(RemoteProtocolError):
            read(item)


BROKEN_RESULTS = {
    "no array": 5,
    "empty array": [],
    "unknown tag": [99],
    "tag of the other side": [3],
    "tag is no integer": ["17"],
    "missing field": [17, 1, "ok", None, [], None],
    "extra field": [17, 1, "ok", None, [], None, "unchanged", 1],
    "negative delivery": [17, -1, "ok", None, [], None, "unchanged"],
    "huge delivery": [17, 1 << 63, "ok", None, [], None, "unchanged"],
    "boolean delivery": [17, True, "ok", None, [], None, "unchanged"],
    "detail with ok": [17, 1, "ok", "why", [], None, "unchanged"],
    "err without detail": [17, 1, "err", None, [], None, "unchanged"],
    "err with replies": [17, 1, "err", "no", [["text", "hi"]], None, "unchanged"],
    "trap with a state": [17, 1, "trap", "no", [], HASH, ["changed", b""]],
    "replies are no array": [17, 1, "ok", None, "text", None, "unchanged"],
    "reply is no pair": [17, 1, "ok", None, [["text"]], None, "unchanged"],
    "text reply of octets": [17, 1, "ok", None, [["text", b""]], None, "unchanged"],
    "close reply with text": [17, 1, "ok", None, [["close", ""]], None, "unchanged"],
    "state is text": [17, 1, "ok", None, [], HASH, ["changed", "state"]],
    "update unknown": [17, 1, "ok", None, [], None, ["kept"]],
    "update too long": [17, 1, "ok", None, [], None, ["unchanged"]],
    "ready with integer": [16, HASH, 1],
}


@pytest.mark.parametrize("item", BROKEN_RESULTS.values(), ids=BROKEN_RESULTS)
def test_a_worker_cannot_send_what_breaks_the_rules(item: object) -> None:
    """Arity, types, ranges and the rules between fields are all checked."""
    with pytest.raises(RemoteProtocolError):
        from_worker(item)


HOSTILE_BODIES = {
    "trailing bytes": b"\x81\x03\x00",
    "tag": b"\xc0\x60",
    "bignum": b"\x81\xc2\x41\x03",
    "self-described": b"\xd9\xd9\xf7\x81\x03",
    "indefinite array": b"\x9f\x03\xff",
    "indefinite text": b"\x7f\x61a\xff",
    "duplicate keys": b"\xa2\x01\x01\x01\x02",
    "too deep": b"\x81" * 40 + b"\x03",
    "array beyond the end": b"\x9b\x00\x00\x00\x7f\xff\xff\xff\xff",
    "text beyond the end": b"\x7a\x7f\xff\xff\xff",
    "invalid UTF-8": b"\x62\xc3\x28",
    "reserved": b"\x1c",
    "break alone": b"\xff",
    "shared reference": b"\xd8\x1c\x81\xd8\x1d\x00",
    "regular expression": b"\xd8\x23\x63a+b",
}


@pytest.mark.parametrize("body", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES)
def test_hostile_cbor_is_refused(body: bytes) -> None:
    """Only one whole item in its shortest form passes."""
    with pytest.raises(RemoteProtocolError):
        framing.FrameDecoder().feed(len(body).to_bytes(4, "big") + body)


@pytest.mark.parametrize("body", [b"\x81\x18\x03", b"\x98\x01\x03", b"\x81\xf9\x3c\x00"], ids=bytes.hex)
def test_what_is_hashed_has_one_encoding(body: bytes) -> None:
    """Longer forms of the same item are frames, but never parts of a chain."""
    cbor.decode(body)
    with pytest.raises(RemoteProtocolError, match="shortest"):
        cbor.decode_shortest(body)


def test_an_oversized_frame_is_refused_before_its_body() -> None:
    """Four bytes are enough to refuse: nothing of the body is kept."""
    decoder = framing.FrameDecoder(max_frame_bytes=1000)
    with pytest.raises(RemoteProtocolError, match="over the limit"):
        decoder.feed((1001).to_bytes(4, "big"))


@pytest.mark.parametrize("piece", [1, 1000, 10_000, 1 << 20])
def test_frames_in_turns_are_the_same_frames(piece: int) -> None:
    """Whatever the pieces: the items of `feed`, with pauses where there are thousands of items."""
    items = [[list(range(size))] for size in (1, 3, 9000, 5, 6000, *[300] * 100)]
    data = b"".join(framing.encode_frame(item) for item in items)
    limits = framing.MAX_FRAME_BYTES, 20_000
    decoder, taken, longest, since = framing.FrameDecoder(*limits), list[object](), 0, 0
    for at in range(0, len(data), piece):
        for step in decoder.feed_in_turns(data[at : at + piece]):
            if isinstance(step, tuple):
                taken += step
                since += 1
                longest = max(longest, since)
            else:
                since = 0
    assert taken == items == framing.FrameDecoder(*limits).feed(data)
    assert longest < 100 or piece < 1 << 20, "a hundred short frames are more than one turn"
    assert not decoder.buffered_bytes


def test_an_empty_frame_is_refused() -> None:
    """A length of zero is no item."""
    with pytest.raises(RemoteProtocolError, match="empty"):
        framing.FrameDecoder().feed(bytes(4))


@pytest.mark.parametrize(
    "frame", [Deliver(1, 1, "text", 5, b"x"), Deliver(1, 1, "connect", 5, "x")], ids=repr
)
def test_a_payload_that_does_not_fit_is_our_mistake(frame: Deliver) -> None:
    """Encoding refuses what the other side would have to refuse."""
    with pytest.raises(LocalProtocolError):
        to_item(frame)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_mean_one_thing(data: bytes) -> None:
    """Whatever decodes encodes to the same bytes again; all else is a RemoteProtocolError."""
    try:
        item = cbor.decode_shortest(data)
    except RemoteProtocolError:
        return
    assert cbor.encode(item) == data


@given(st.sampled_from(FROM_WORKER), st.data())
def test_mutated_frames_raise_only_protocol_errors(frame: FromWorker, data: st.DataObject) -> None:
    """A flipped bit makes another frame or a RemoteProtocolError, never anything else."""
    octets = bytearray(cbor.encode(to_item(frame)))
    for _ in range(data.draw(st.integers(1, 3))):
        bit = data.draw(st.integers(0, 8 * len(octets) - 1))
        octets[bit // 8] ^= 1 << bit % 8
    try:
        from_worker(cbor.decode(bytes(octets)))
    except RemoteProtocolError:
        return
