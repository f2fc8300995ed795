"""Frames from a hostile worker: whatever the bytes, they are frames by the rules, or a protocol error."""

import contextlib
import hashlib
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.counts import FULL, repeats
from theater_protocol import cbor
from theater_protocol.errors import RemoteProtocolError
from theater_protocol.framing import HEADER_BYTES, FrameDecoder, encode_frame
from theater_protocol.items import all_from_worker, encode_frames, from_worker, to_item
from theater_protocol.messages import (
    Changed,
    Deferred,
    Deliver,
    FromWorker,
    Limits,
    Ready,
    Reply,
    Result,
    Unchanged,
)
from theater_supervisor.actor.delivery import DeliveryWindow
from theater_supervisor.actor.transition import check_bounds, committable, to_batch

LIMITS = Limits(5_000_000, 1 << 28, max_state_bytes=1000, max_replies=10, max_reply_bytes=1000)
MUTANTS = repeats(1_000_000)
EXAMPLES = settings(max_examples=100_000 if FULL else 100, deadline=None)
SEEDS = 20
STATE = b"the state"
HASH = hashlib.sha256(STATE).digest()
HONEST: list[FromWorker] = [
    Ready(HASH, True, 2),
    Result(1, "ok", None, (Reply("text", "hello"), Reply("close", None)), HASH, Deferred()),
    Result(2, "ok", None, (Reply("binary", b"\0\xff"), Reply("ping", b"")), HASH, Changed(STATE)),
    Result(3, "err", "no such room", (), HASH, Unchanged()),
]
WIRE = b"".join(map(encode_frame, map(to_item, HONEST[:2]))) + encode_frames(HONEST[2:])


def receive(data: bytes) -> list[Result]:
    """Take bytes from a worker as the supervisor does, up to what would be committed."""
    decoder = FrameDecoder(LIMITS.max_frame_bytes, LIMITS.max_frame_items)
    window = DeliveryWindow()
    for _ in range(3):
        window.offer(1, "text", 0, "an event")
    window.take()
    frames = all_from_worker(decoder.feed(data))
    results = [frame for frame in frames if isinstance(frame, Result)]
    check_bounds(results, window.in_flight, LIMITS)
    count = committable(results)
    deliveries: list[Deliver] = window.claim(results[:count])
    to_batch(deliveries, results[:count], None)
    return results


def mutants(chance: random.Random, count: int) -> Iterator[bytes]:
    """The honest wire with flipped, cut, doubled and inserted octets; a length often fits its frame."""
    for _ in range(count):
        octets = bytearray(WIRE)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(octets))
            match chance.randrange(5):
                case 0:
                    octets[at] ^= 1 << chance.randrange(8)
                case 1:
                    octets[at] = chance.choice(b"\0\x18\x1b\x3b\x5b\x7f\x80\x9b\x9f\xa0\xbf\xc1\xf7\xfb\xff")
                case 2:
                    del octets[at : at + chance.randrange(1, 9)]
                case 3:
                    octets[at:at] = chance.randbytes(chance.randrange(1, 9))
                case 4:
                    octets[at:at] = octets[at : at + chance.randrange(1, 33)]
        if chance.randrange(2):
            octets[:HEADER_BYTES] = (len(octets) - HEADER_BYTES).to_bytes(HEADER_BYTES, "big")
        yield bytes(octets)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(SEEDS))
def test_mutated_frames_are_refused_or_frames(seed: int) -> None:
    """Nothing but RemoteProtocolError comes out, and what is taken for a result could have been sent."""
    refused = 0
    for data in mutants(random.Random(seed), MUTANTS // SEEDS):
        try:
            results = receive(data)
        except RemoteProtocolError:
            refused += 1
            continue
        for result in results:
            assert from_worker(to_item(result)) == result
    # Otherwise the mutants test nothing: neither all of them can be wrong, nor all right.
    assert 0 < refused < MUTANTS // SEEDS


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@EXAMPLES
@given(st.binary(max_size=300))
def test_any_octets_are_refused_or_results(body: bytes) -> None:
    """A frame of arbitrary octets raises nothing but RemoteProtocolError."""
    with contextlib.suppress(RemoteProtocolError):
        receive(len(body).to_bytes(HEADER_BYTES, "big") + body)


ITEMS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@EXAMPLES
@given(st.sampled_from([16, 17]), st.lists(ITEMS, max_size=8))
def test_any_items_are_refused_or_results(tag: int, fields: list[object]) -> None:
    """Well-formed CBOR of the wrong shape raises nothing but RemoteProtocolError."""
    body = cbor.encode([tag, *fields])
    with contextlib.suppress(RemoteProtocolError):
        receive(len(body).to_bytes(HEADER_BYTES, "big") + body)


@given(ITEMS, st.integers(0, 40))
def test_items_are_counted_as_they_are_decoded(item: object, most: int) -> None:
    """The count taken from the heads is that of the decoded objects."""
    data = cbor.encode(item)
    if count(item) > most:
        # Fewer octets than items cannot be: only then is nothing counted.
        with pytest.raises(RemoteProtocolError, match=f"more than {most} items"):
            cbor.count_items(memoryview(data), most)
    else:
        cbor.count_items(memoryview(data), most)


def count(item: object) -> int:
    """How many items an object takes on the wire."""
    match item:
        case list():
            return 1 + sum(map(count, item))
        case dict():
            return 1 + sum(1 + count(value) for value in item.values())
        case _:
            return 1
