"""Frames on a byte stream: a 4-byte big-endian length, then one CBOR item.

Sans-IO: bytes in, items out. What an item means is in items.py; reading and writing pipes is elsewhere.
"""

from theater_protocol import cbor
from theater_protocol.errors import LocalProtocolError, RemoteProtocolError

HEADER_BYTES = 4
MAX_FRAME_BYTES = 64 * 1024 * 1024


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

    def _decode(self, start: int, end: int) -> object:
        with memoryview(self._buffer)[start:end] as body:
            if self._max_items is not None:
                cbor.check_item_count(body, self._max_items)
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
