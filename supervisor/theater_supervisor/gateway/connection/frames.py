"""A short way for unfragmented text and binary, long binary in parts; and the frames that we send.

wsproto remains the judge of everything else that comes: control frames, fragments, extensions, long text and
every broken frame reach it byte for byte and in order. Pure. RFC 6455, section 5.2.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

# C where there is a wheel: 40 µs for 1 MiB and 0.1 µs for 16 bytes; Python's integers: 5 ms, 0.6 µs.
from websockets.frames import apply_mask  # type: ignore[attr-defined]

SHORT_BYTES: Final = 64 * 1024

_FIN_TEXT: Final = 0x81
_FIN_BINARY: Final = 0x82
_FIN_MESSAGES: Final = (_FIN_TEXT, _FIN_BINARY)
_MASKED: Final = 0x80
_FIN: Final = 0x80
_OPCODE: Final = 0x0F
_RESERVED_AND_OPCODE: Final = 0x7F
_BINARY: Final = 0x02
_FIRST_CONTROL: Final = 0x08
_COMPRESSED: Final = 0x40
_FIN_CONTROLS: Final = {"ping": 0x89, "pong": 0x8A}
_MAX_CONTROL_BYTES: Final = 125


@dataclass(frozen=True, slots=True)
class Passed:
    """Bytes for wsproto: frames, whole or in pieces. None in place of a message that announces too much."""

    data: bytes | None


@dataclass(frozen=True, slots=True)
class Part:
    """What has come of a binary message in one frame that is not all here; `finished` with its last one."""

    data: bytes
    finished: bool


Piece = str | bytes | Part | Passed


class FrameSplitter:
    """Cuts what a client sends into messages taken the short way and bytes for wsproto.

    A frame takes the short way when all of it has arrived; nothing but the start of a header is ever held,
    so that wsproto sees what is wrong as soon as it is there. No message taken whole is over `short_bytes`; a
    longer binary one comes in the parts that were read.
    A message whose frames announce more than `max_message_bytes` is the end: nothing after it is looked at.
    """

    def __init__(self, short_bytes: int = SHORT_BYTES, max_message_bytes: int = 1 << 64) -> None:
        self._short_bytes = min(short_bytes, max_message_bytes, 0xFFFF)
        self._max_message_bytes = max_message_bytes
        self._message_bytes = 0
        self._held = b""
        self._passing_bytes = 0
        self._key: bytes | None = None  # of the frame that is passing in parts, for the octet that is next
        self._in_message = False

    @property
    def missing_bytes(self) -> int:
        """How much is still to come of a binary message that comes in parts; 0 when none does."""
        return self._passing_bytes if self._key is not None else 0

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Yield the messages (text is str, binary is bytes) and the bytes for wsproto, in order.

        One at a time, for a buffer may hold thousands; all of them, or the end, before the next call.
        """
        if self._held:
            data, self._held = self._held + data, b""
        at, size = 0, len(data)
        while at < size:
            if self._passing_bytes:
                end = min(size, at + self._passing_bytes)
                self._passing_bytes -= end - at
                yield Passed(data[at:end]) if self._key is None else self._part(data[at:end])
                at = end
                continue
            if size - at < 2:
                break
            first, second = data[at], data[at + 1]
            length, head = second & 0x7F, 6
            if length >= 126:
                head = 8 if length == 126 else 14
                if size - at < head:
                    break
                length = int.from_bytes(data[at + 2 : at + head - 4], "big")
            end = at + head + length
            if end > size or not self._is_short(first, second, length):
                if self._is_long(first, second, length):
                    self._key = data[at + head - 4 : at + head]
                    self._passing_bytes = length
                    at += head
                    continue
                self._pass_on(first, length)
                if self._message_bytes > self._max_message_bytes and _is_legal(first, second, length):
                    yield Passed(None)
                    return
                self._passing_bytes = head + length
                continue
            message = _message(first, data[at + head - 4 : at + head], data[at + head : end])
            yield Passed(data[at:end]) if message is None else message
            at = end
        if at < size:
            self._held = data[at:]

    def _is_short(self, first: int, second: int, length: int) -> bool:
        if first not in _FIN_MESSAGES or not second & _MASKED or self._in_message:
            return False
        # A length in a longer form than it needs is for wsproto to refuse.
        shortest = 126 if second & 0x7F == 126 else 0
        return shortest <= length <= self._short_bytes and second & 0x7F != 127

    def _is_long(self, first: int, second: int, length: int) -> bool:
        if first != _FIN_BINARY or not second & _MASKED or self._in_message:
            return False
        shortest = 1 << 16 if second & 0x7F == 127 else 126
        return shortest <= length <= self._max_message_bytes

    def _part(self, masked: bytes) -> Part:
        assert self._key is not None
        data = apply_mask(masked, self._key)
        turn = len(masked) % 4
        self._key = self._key[turn:] + self._key[:turn] if self._passing_bytes else None
        return Part(data, not self._passing_bytes)

    def _pass_on(self, first: int, length: int) -> None:
        if first & _OPCODE < _FIRST_CONTROL:
            self._message_bytes = length + (self._message_bytes if self._in_message else 0)
            self._in_message = not first & _FIN


def _is_legal(first: int, second: int, length: int) -> bool:
    """Say whether wsproto has nothing against this header of a message's frame."""
    return bool(second & _MASKED) and first & _RESERVED_AND_OPCODE <= _BINARY and not length >> 63


def message_frame(message: str | bytes, deflate: Callable[[bytes], bytes] | None = None) -> bytes:
    """Make a server's frame of a whole message, deflated if there is a way to.

    Raises ValueError for text that UTF-8 can't hold.
    """
    if isinstance(message, str):
        first, payload = _FIN_TEXT, message.encode()
    else:
        first, payload = _FIN_BINARY, message
    if deflate is not None:
        first, payload = first | _COMPRESSED, deflate(payload)
    length = len(payload)
    if length < 126:
        return bytes((first, length)) + payload
    if length <= 0xFFFF:
        return bytes((first, 126)) + length.to_bytes(2, "big") + payload
    return bytes((first, 127)) + length.to_bytes(8, "big") + payload


def control_frame(kind: Literal["ping", "pong"], payload: bytes) -> bytes:
    """Make a server's ping or pong. Raises ValueError for more than 125 bytes."""
    if len(payload) > _MAX_CONTROL_BYTES:
        raise ValueError(f"a {kind} of {len(payload)} bytes, at most {_MAX_CONTROL_BYTES} are possible")
    return bytes((_FIN_CONTROLS[kind], len(payload))) + payload


def _message(first: int, key: bytes, masked: bytes) -> str | bytes | None:
    """Unmask a payload; None for text that is not UTF-8, which wsproto is to refuse."""
    payload = apply_mask(masked, key)
    if first == _FIN_BINARY:
        return payload
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return None
