"""The WebSocket layer: what trio-websocket and wsproto do for a connection, and what they leave open.

The only file that imports them; the events named here are wsproto's own. Bytes in, events out, events in,
bytes out: no stream is read or written here, and what an event means is the connection's concern.
"""

from collections.abc import Callable, Iterator
from typing import Final

import trio
from trio_websocket import WebSocketConnection
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection, ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, Frame, FrameDecoder, FrameProtocol, Opcode, RsvBits
from wsproto.utilities import generate_accept_token

from theater_protocol.messages import Reply
from theater_supervisor.gateway.connection.deflate import (
    NAME,
    Agreement,
    Deflater,
    InflatedTooBig,
    Inflater,
    NotDeflated,
    deflated_at_most,
)
from theater_supervisor.gateway.connection.frames import (
    SHORT_BYTES,
    FrameSplitter,
    Part,
    Passed,
    control_frame,
    message_frame,
)

__all__ = ["BytesMessage", "CloseConnection", "Event", "Ping", "Pong", "TextMessage", "Wire"]

_SWITCHING: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
)
_TRY_AGAIN_LATER: Final = 1013
_BAD_GATEWAY: Final = 1014
_PLAIN: Final = RsvBits(False, False, False)
_COMPRESSED: Final = RsvBits(True, False, False)


def switching_protocols(key: bytes, subprotocol: str | None, compression: Agreement | None) -> bytes:
    """Return the response that accepts a handshake (RFC 6455 section 4.2.2)."""
    lines = [_SWITCHING, generate_accept_token(key)]
    if subprotocol is not None:
        lines += [b"\r\nSec-WebSocket-Protocol: ", subprotocol.encode()]
    if compression is not None:
        extension = "; ".join(part for part in (NAME, compression.parameters()) if part)
        lines += [b"\r\nSec-WebSocket-Extensions: ", extension.encode()]
    return b"".join([*lines, b"\r\n\r\n"])


class Frames(Connection):
    """wsproto's frames, with the close codes that were registered after it was written."""

    def __init__(self, connection_type: ConnectionType, extensions: list[Extension]) -> None:
        super().__init__(connection_type, extensions)
        self._proto = _NewerCodes(connection_type is ConnectionType.CLIENT, extensions)


class _NewerCodes(FrameProtocol):
    """Takes 1014 (bad gateway) from a peer too, as IANA's registry of close codes has it."""

    def _process_close(self, frame: Frame) -> Frame:
        assert isinstance(frame.payload, bytes)
        code = frame.payload[:2]
        if code != _BAD_GATEWAY.to_bytes(2):
            return super()._process_close(frame)
        known = frame._replace(payload=_TRY_AGAIN_LATER.to_bytes(2) + frame.payload[2:])
        match super()._process_close(known).payload:
            case (int(), str() as reason):
                return frame._replace(payload=(_BAD_GATEWAY, reason))
        raise AssertionError("a close frame with a code has a reason, if an empty one")


class Wire(WebSocketConnection):
    """One connection's framing, from the 101 to the close frames."""

    def __init__(self, stream: trio.abc.Stream, max_message_bytes: int) -> None:
        super().__init__(stream, WSConnection(ConnectionType.SERVER))
        self._splitter: FrameSplitter | None = FrameSplitter(SHORT_BYTES, max_message_bytes)
        self._deflate: Callable[[bytes], bytes] | None = None

    def accept(self, key: bytes, subprotocol: str | None, extension: "BoundedDeflate | None") -> bytes:
        """Accept a checked handshake with this Sec-WebSocket-Key; return the 101 response.

        wsproto would parse the head once more and make the response of events: a quarter of a millisecond.
        """
        del self._wsproto  # the handshake's part of it, 4 KiB
        self._frames = Frames(ConnectionType.SERVER, [extension] if extension else [])
        if extension is not None:
            self._splitter = None
            self._deflate = extension.deflate
        return switching_protocols(key, subprotocol, extension.agreed if extension else None)

    @property
    def is_open(self) -> bool:
        """True until the first close frame goes either way."""
        return self._frames.state is ConnectionState.OPEN

    @property
    def can_send(self) -> bool:
        """True until our close frame goes, though the peer's may have come."""
        return self._frames.state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING)

    @property
    def is_closing(self) -> bool:
        """True when the peer's close frame came and ours has not gone."""
        return self._frames.state is ConnectionState.REMOTE_CLOSING

    @property
    def is_finished(self) -> bool:
        """True when both close frames have gone."""
        return self._frames.state is ConnectionState.CLOSED

    @property
    def inflates(self) -> bool:
        """True when compression was agreed on."""
        return self._deflate is not None

    @property
    def missing_bytes(self) -> int:
        """How much is still to come of a long message, where that is known; else 0."""
        return self._splitter.missing_bytes if self._splitter else 0

    def receive(self, data: bytes) -> Iterator[Event | str | bytes]:
        """Take bytes off the wire and return what they bring, one at a time: what is not asked for, waits.

        A message that came in one short frame is itself, everything else an event. A frame that breaks the
        rules is a CloseConnection with its code while `is_open` stays true.
        """
        if self._splitter is None:
            self._frames.receive_data(data)
            yield from self._frames.events()
            return
        for piece in self._splitter.feed(data):
            if isinstance(piece, Passed):
                if piece.data is None:
                    yield CloseConnection(CloseReason.MESSAGE_TOO_BIG)
                    return
                self._frames.receive_data(piece.data)
                yield from self._frames.events()
            elif isinstance(piece, Part):
                yield BytesMessage(piece.data, frame_finished=piece.finished, message_finished=piece.finished)
            else:
                yield piece

    def serialize(self, event: Event) -> bytes:
        """Return the frame for an event. Raises ValueError when there is none for it."""
        return self._frames.send(event)

    def serialize_reply(self, reply: Reply) -> bytes:
        """Return the frame for a reply that is no close, for as long as `can_send`.

        wsproto makes none once the peer has closed, though replies may follow until our own close frame
        (RFC 6455, section 5.5.1). Raises ValueError when there is no frame for it.
        """
        match reply.kind, reply.payload:
            case ("text", str() as message) | ("binary", bytes() as message):
                return message_frame(message, self._deflate)
            case ("ping" | "pong" as kind, bytes() as payload):
                return control_frame(kind, payload)
        raise ValueError(f"a {reply.kind} reply cannot carry {type(reply.payload).__name__}")


class BoundedDeflate(Extension):
    """permessage-deflate for wsproto, whose own one inflates without a bound.

    A message that inflates over `max_bytes` is an error of code 1009 while it is read, or as soon as its
    frames announce so much.
    """

    name = NAME

    def __init__(self, agreed: Agreement, max_bytes: int) -> None:
        self.agreed = agreed
        self._max_bytes = max_bytes
        self._announced_bytes = 0
        self._inflater = Inflater(agreed, max_bytes)
        self._deflater = Deflater(agreed)
        self._in_control_frame = False
        self._inflating = False

    def enabled(self) -> bool:
        """It is only made when it was agreed on."""
        return True

    def offer(self) -> bool | str:
        """Nothing: a server offers no extensions."""
        return False

    def accept(self, offer: str) -> str:
        """Return the parameters that were agreed on."""
        return self.agreed.parameters()

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """The first frame of a message says whether it is compressed; no other frame may."""
        self._in_control_frame = opcode.iscontrol()
        if self._in_control_frame:
            return _PLAIN
        first = opcode is not Opcode.CONTINUATION
        if first:
            self._inflating = rsv.rsv1
            self._announced_bytes = 0
        self._announced_bytes += payload_length
        at_most = deflated_at_most(self._max_bytes) if self._inflating else self._max_bytes
        if self._announced_bytes > at_most:
            return CloseReason.MESSAGE_TOO_BIG
        return _COMPRESSED if first else _PLAIN

    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        """Inflate a piece of a frame."""
        if not self._inflating or self._in_control_frame:
            return data
        try:
            return self._inflater.feed(data)
        except InflatedTooBig:
            return CloseReason.MESSAGE_TOO_BIG
        except NotDeflated:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | CloseReason | None:
        """Inflate what the end of the message brings out."""
        if not fin or not self._inflating or self._in_control_frame:
            return None
        try:
            return self._inflater.finish()
        except InflatedTooBig:
            return CloseReason.MESSAGE_TOO_BIG
        except NotDeflated:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA

    def deflate(self, data: bytes) -> bytes:
        """Deflate a whole message of ours."""
        return self._deflater.message(data)
