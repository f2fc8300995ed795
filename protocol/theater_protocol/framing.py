"""Frames on a byte stream: a 4-byte big-endian length, then one CBOR item.

Sans-IO: bytes in, items out. What an item means is in items.py; reading and writing pipes is elsewhere.
"""

from collections.abc import Iterator
from typing import Final, Literal

from theater_protocol import cbor
from theater_protocol.errors import LocalProtocolError, RemoteProtocolError

HEADER_BYTES = 4
MAX_FRAME_BYTES = 64 * 1024 * 1024
# CBOR items to be counted, decoded or read at one go; as bytes of a short frame they are some fewer.
ITEMS_PER_TURN: Final = 4096
_BYTES_PER_ITEM: Final = 8

Pause = Literal["pause"]


def encode_frame(item: object) -> bytes:
    """Encode one item with its length in front.

    Raises LocalProtocolError when it is longer than MAX_FRAME_BYTES or not encodable.
    """
    body = cbor.encode(item)
    return _header(len(body)) + body


def encode_large_frame(item: list[object]) -> list[bytes]:
    """Return a frame in parts, which is quicker than encode_frame for a long one; raises as that does."""
    parts = cbor.encode_in_parts(item)
    return [_header(sum(map(len, parts))), *parts]


def _header(body_bytes: int) -> bytes:
    if body_bytes > MAX_FRAME_BYTES:
        raise LocalProtocolError(f"a frame of {body_bytes} bytes is over the limit of {MAX_FRAME_BYTES}")
    return body_bytes.to_bytes(HEADER_BYTES, "big")


class FrameDecoder:
    """Cuts a byte stream into frames and decodes each one strictly.

    `max_frame_bytes` is checked against a frame's length before any of its bytes are kept, `max_items`
    against its contents before they are decoded. After a RemoteProtocolError the decoder must not be used
    again.
    """

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES, max_items: int | None = None) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._max_items = max_items
        self._buffer = bytearray()

    @property
    def buffered_bytes(self) -> int:
        """Bytes held of a frame that has not arrived whole."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[object]:
        """Take `data` and return the items of the frames it completes, in order.

        Raises RemoteProtocolError for an empty or oversized frame and for what cbor.decode refuses.
        """
        buffer = self._buffer
        buffer += data
        items: list[object] = []
        start = 0
        while len(buffer) - start >= HEADER_BYTES:
            end = start + HEADER_BYTES + self._body_bytes(start)
            if end > len(buffer):
                break
            items.append(self._decode(start + HEADER_BYTES, end))
            start = end
        del buffer[:start]
        return items

    def feed_in_turns(self, data: bytes) -> Iterator[tuple[object] | Pause]:
        """Take `data` and return what `feed` does one by one, and "pause" where others should have a turn.

        One frame of many items has its counting, its decoding and what is made of it in a turn each. Must be
        gone through before the next call. Raises as `feed` does.
        """
        self._buffer += data
        start = items = 0
        while len(self._buffer) - start >= HEADER_BYTES:
            end = start + HEADER_BYTES + self._body_bytes(start)
            if end > len(self._buffer):
                break
            if items >= ITEMS_PER_TURN:
                items = 0
                yield "pause"
            count = self._count(start + HEADER_BYTES, end)
            items += count
            if count > ITEMS_PER_TURN:
                yield "pause"
            item = self._decode(start + HEADER_BYTES, end, counted=True)
            if count > ITEMS_PER_TURN:
                yield "pause"
            yield (item,)
            if count > ITEMS_PER_TURN:
                yield "pause"
            start = end
        del self._buffer[:start]

    def _count(self, start: int, end: int) -> int:
        """Return about how many items a frame has, checked if it may be too many."""
        size = end - start
        if self._max_items is None or size <= self._max_items:
            return size // _BYTES_PER_ITEM
        with memoryview(self._buffer)[start:end] as body:
            return cbor.count_items(body, self._max_items)

    def _decode(self, start: int, end: int, *, counted: bool = False) -> object:
        with memoryview(self._buffer)[start:end] as body:
            if self._max_items is not None and not counted:
                cbor.count_items(body, self._max_items)
            return cbor.decode(bytes(body))

    def _body_bytes(self, start: int) -> int:
        length = int.from_bytes(self._buffer[start : start + HEADER_BYTES], "big")
        if length == 0:
            raise RemoteProtocolError("an empty frame")
        if length > self._max_frame_bytes:
            raise RemoteProtocolError(
                f"a frame of {length} bytes is over the limit of {self._max_frame_bytes}"
            )
        return length
