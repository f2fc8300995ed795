"""permessage-deflate (RFC 7692): what is agreed with a client, and inflating within a bound. Sans-IO.

Compressed bytes in, at most so many bytes out, whatever the ratio; nothing here knows a frame, a socket or
the WebSocket library (`wire` does). Memory per connection: our window is kept small, since no client has to
be told that it is.
"""

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

NAME: Final = "permessage-deflate"

_FLAGS: Final = ("server_no_context_takeover", "client_no_context_takeover")
_BITS: Final = ("server_max_window_bits", "client_max_window_bits")
_WINDOW_BITS: Final = re.compile(r"[89]|1[0-5]")
_ELEMENT: Final = re.compile(r'[^",]*(?:"[^"]*"[^",]*)*')
# 12 bits and level 5 take 32 KiB for each compressing connection, zlib's defaults 256 KiB.
_OUR_WINDOW_BITS: Final = 12
_MEMORY_LEVEL: Final = 5
_SMALLEST_RAW_WINDOW_BITS: Final = 9  # zlib has no raw deflate with 8
_TAIL: Final = b"\x00\x00\xff\xff"
_MAX_STREAMS: Final = 8


class InflatedTooBig(Exception):
    """A message inflates to more than the bound."""


class NotDeflated(Exception):
    """What came is no deflate data."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The parameters that both sides use; None is the default window of 15 bits."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = None

    def parameters(self) -> str:
        """Return the parameters for the response, without the extension's name."""
        flags = [name for name in _FLAGS if getattr(self, name)]
        bits = [f"{name}={value}" for name in _BITS if (value := getattr(self, name)) is not None]
        return "; ".join(flags + bits)


def agree(offers: Iterable[str]) -> Agreement | None:
    """Take the first acceptable offer of the Sec-WebSocket-Extensions headers, None when there is none.

    An offer with a parameter that is unknown, repeated or malformed is declined (RFC 7692 section 7.1).
    """
    for header in offers:
        for offer in _ELEMENT.findall(header):
            name, *parameters = (part.strip() for part in offer.split(";"))
            if name.lower() == NAME and (agreed := _accept(parameters)):
                return agreed
    return None


def _accept(parameters: Iterable[str]) -> Agreement | None:
    values: dict[str, str | None] = {}
    for parameter in parameters:
        name, equals, value = (part.strip() for part in parameter.partition("="))
        if name in values or not _is_valid(name, value.strip('"') if equals else None):
            return None
        values[name] = value.strip('"') if equals else None
    server_bits = _bits(values, "server_max_window_bits")
    if server_bits is not None and server_bits < _SMALLEST_RAW_WINDOW_BITS:
        return None
    return Agreement(
        "server_no_context_takeover" in values,
        "client_no_context_takeover" in values,
        server_bits,
        _bits(values, "client_max_window_bits"),
    )


def _is_valid(name: str, value: str | None) -> bool:
    if name in _FLAGS:
        return value is None
    if value is None:
        return name == "client_max_window_bits"
    return name in _BITS and _WINDOW_BITS.fullmatch(value) is not None


def _bits(values: Mapping[str, str | None], name: str) -> int | None:
    value = values.get(name)
    return None if value is None else int(value)


def deflated_at_most(size: int) -> int:
    """Return how large `size` bytes are that were deflated in the worst usual way (zlib's deflateBound)."""
    return size + size // 8 + size // 64 + 64


class Inflater:
    """Inflates one message after another; at most `max_bytes` come out of each."""

    def __init__(self, agreed: Agreement, max_bytes: int) -> None:
        self._window_bits = -max(agreed.client_max_window_bits or zlib.MAX_WBITS, _SMALLEST_RAW_WINDOW_BITS)
        self._forget = agreed.client_no_context_takeover
        self._max_bytes = max_bytes
        self._left_bytes = max_bytes
        self._streams = 0
        self._stream = zlib.decompressobj(self._window_bits)

    def feed(self, data: bytes) -> bytes:
        """Inflate a piece of a message.

        Raises InflatedTooBig before more than the bound is made, and NotDeflated.
        """
        return b"".join(self._inflate(data))

    def finish(self) -> bytes:
        """End the message and return what was left of it; raises as `feed` does."""
        rest = self.feed(_TAIL)
        self._left_bytes = self._max_bytes
        self._streams = 0
        if self._forget:
            self._stream = zlib.decompressobj(self._window_bits)
        return rest

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        while data:
            # One byte more than is left shows that there is more; 0 would be no bound at all.
            try:
                piece = self._stream.decompress(data, self._left_bytes + 1)
            except zlib.error as error:
                raise NotDeflated(str(error)) from None
            self._left_bytes -= len(piece)
            if self._left_bytes < 0 or self._stream.unconsumed_tail:
                raise InflatedTooBig
            yield piece
            data = self._next_stream() if self._stream.eof else b""

    def _next_stream(self) -> bytes:
        """Go on after a final block, which a message may have (RFC 7692 section 7.2.3.4), some times."""
        self._streams += 1
        if self._streams > _MAX_STREAMS:
            raise NotDeflated("too many final blocks")
        rest = self._stream.unused_data
        self._stream = zlib.decompressobj(self._window_bits)
        return rest


class Deflater:
    """Deflates one message after another."""

    def __init__(self, agreed: Agreement) -> None:
        self._window_bits = -min(agreed.server_max_window_bits or zlib.MAX_WBITS, _OUR_WINDOW_BITS)
        self._forget = agreed.server_no_context_takeover
        self._stream: zlib._Compress | None = None

    def message(self, data: bytes) -> bytes:
        """Deflate a whole message."""
        if self._stream is None:
            # All connections share the thread that compresses, so speed goes before ratio.
            self._stream = zlib.compressobj(
                zlib.Z_BEST_SPEED, zlib.DEFLATED, self._window_bits, _MEMORY_LEVEL
            )
        deflated = self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH)
        if self._forget:
            self._stream = None
        # A second empty message in a row makes zlib flush nothing; it is an empty stored block all the same.
        return deflated.removesuffix(_TAIL) or b"\x00"
