"""A worker that has turned against its supervisor, once for each file it is given; then an honest one.

Usage: python hostile_worker.py ATTACK FILE…: while one of the files exists it is removed and the attack made.
"""

import hashlib
import os
import random
import signal
import struct
import sys
import time
from collections.abc import Callable

from tests.faults.counts import repeats
from tests.faults.dying_worker import armed
from theater_protocol.framing import FrameDecoder, encode_frame
from theater_protocol.items import all_to_worker, to_item
from theater_protocol.messages import (
    Changed,
    Deferred,
    Deliver,
    FromWorker,
    Ready,
    Reply,
    Result,
    Start,
    Unchanged,
)
from theater_worker import __main__ as honest
from theater_worker.stdio import write_all

FOREVER_S = 3600
HASH = hashlib.sha256(b"").digest()


def send(*frames: FromWorker | bytes) -> None:
    """Write frames, or bytes that only look like some."""
    parts = [frame if isinstance(frame, bytes) else encode_frame(to_item(frame)) for frame in frames]
    write_all(1, b"".join(parts))


def read(decoder: FrameDecoder = FrameDecoder()) -> list[object]:  # noqa: B008 one stream, one decoder
    """Read some frames."""
    return list[object](all_to_worker(decoder.feed(os.read(0, 1 << 20))))


def become_ready() -> int:
    """Start as honest workers do, and wait for a delivery; return its number."""
    (start,) = read()
    assert isinstance(start, Start)
    send(Ready(start.component_sha256, False, 2))
    deliver = read()[0]
    assert isinstance(deliver, Deliver)
    return deliver.delivery


def frame(body: bytes) -> bytes:
    """Put a length before a body."""
    return struct.pack(">I", len(body)) + body


def garbage(delivery: int) -> None:
    """Bytes that mean nothing."""
    send(random.Random(delivery).randbytes(100_000))


def gigantic_frame(_: int) -> None:
    """A length that nobody could hold."""
    send(b"\xff\xff\xff\xff" + bytes(1000))


def million_replies(delivery: int) -> None:
    """A well-formed result with far more replies than allowed."""
    head, tail = b"\x87\x11" + bytes([delivery]) + b"\x62ok\xf6", b"\xf6\x81\x69unchanged"
    send(frame(head + b"\x9a" + struct.pack(">I", 1_000_000) + b"\x82\x65close\xf6" * 1_000_000 + tail))


def many_tiny_items(_: int) -> None:
    """A frame of a permitted length that would become half a gigabyte of lists."""
    count = 7 << 20
    send(frame(b"\x9a" + struct.pack(">I", count) + b"\x80" * count))


def promised_items(_: int) -> None:
    """An array that claims to have more items than there are atoms to store them."""
    send(frame(b"\x9b" + b"\x7f" + b"\xff" * 7 + b"\x00" * 100))


def deep_nesting(_: int) -> None:
    """Arrays in arrays in arrays."""
    send(frame(b"\x81" * 1_000_000 + b"\x00"))


def large_state(delivery: int) -> None:
    """A state over the limit, with the right hash."""
    state = bytes(5 << 20)
    send(Result(delivery, "ok", None, (), hashlib.sha256(state).digest(), Changed(state)))


def lying_hash(delivery: int) -> None:
    """A hash that belongs to another state."""
    send(Result(delivery, "ok", None, (), HASH, Changed(b"not the empty one")))


def foreign_delivery(delivery: int) -> None:
    """An answer to what was never asked."""
    send(Result(delivery + 1000, "ok", None, (Reply("text", "hi"),), None, Unchanged()))


def endless_promises(delivery: int) -> None:
    """Results whose state is always still to come."""
    while True:
        send(Result(delivery, "ok", None, (Reply("text", "x" * 1000),), HASH, Deferred()))


def replies_to_failure(delivery: int) -> None:
    """Replies where there can be none."""
    send(frame(b"\x87\x11" + bytes([delivery]) + b"\x64trap\x61x\x81\x82\x64text\x61x\xf6\x81\x69unchanged"))


def second_ready(_: int) -> None:
    """To be born again."""
    send(Ready(HASH, False, 2))


def mutated_frames(delivery: int) -> None:
    """An honest result with one octet changed, again and again until it is noticed."""
    octets = bytearray(encode_frame(to_item(Result(delivery, "ok", None, (), None, Unchanged()))))
    chance = random.Random(os.getpid())
    octets[chance.randrange(4, len(octets))] ^= 1 << chance.randrange(8)
    send(bytes(octets) * 1000)


def silence(_: int) -> None:
    """Read nothing, say nothing."""
    time.sleep(FOREVER_S)


def stopped(_: int) -> None:
    """Be there, and not be there."""
    signal.raise_signal(signal.SIGSTOP)


def half_a_frame(_: int) -> None:
    """Begin, and leave it at that."""
    send(struct.pack(">I", 1 << 20) + bytes(1000))
    time.sleep(FOREVER_S)


def flood_of_log(_: int) -> None:
    """A gigabyte of stderr, with terminal sequences and never the end of a line, then silence."""
    chunk = b"\x1b[2J\x00" * (1 << 14)
    for _ in range(repeats(1 << 30) // len(chunk)):
        write_all(2, chunk)
    time.sleep(FOREVER_S)


BREAKING: dict[str, Callable[[int], None]] = {
    function.__name__: function
    for function in (
        garbage,
        gigantic_frame,
        million_replies,
        many_tiny_items,
        promised_items,
        deep_nesting,
        large_state,
        lying_hash,
        foreign_delivery,
        endless_promises,
        replies_to_failure,
        second_ready,
        mutated_frames,
    )
}
HANGING: dict[str, Callable[[int], None]] = {
    function.__name__: function for function in (silence, stopped, half_a_frame, flood_of_log)
}

if __name__ == "__main__":
    if armed():
        {**BREAKING, **HANGING}[sys.argv[1]](become_ready())
        time.sleep(FOREVER_S)
    os._exit(honest.main())
