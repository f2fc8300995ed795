"""The WebSocket layer: what trio-websocket and wsproto do for a connection, and what they leave open.

The only file that imports them; the events named here are wsproto's own. Bytes in, events out, events in,
bytes out: no stream is read or written here, and what an event means is the connection's concern.
"""

from collections.abc import Callable, Iterator
from typing import Final

import trio
from trio_websocket import WebSocketConnection
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

from theater_protocol.messages import Reply
from theater_supervisor.gateway.connection.admitted import Headers
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

_PLAIN: Final = RsvBits(False, False, False)
_COMPRESSED: Final = RsvBits(True, False, False)


class Wire(WebSocketConnection):
    """One connection's framing, from the 101 to the close frames."""

    def __init__(self, stream: trio.abc.Stream, max_message_bytes: int) -> None:
        super().__init__(stream, WSConnection(ConnectionType.SERVER))
        self._splitter: FrameSplitter | None = FrameSplitter(SHORT_BYTES, max_message_bytes)
        self._deflate: Callable[[bytes], bytes] | None = None

    def accept(
        self, target: str, headers: Headers, subprotocol: str | None, extension: "BoundedDeflate | None"
    ) -> bytes:
        """Accept a checked handshake; return the 101 response."""
        self._wsproto.initiate_upgrade_connection(list(headers), target)
        for _ in self._wsproto.events():
            pass
        accepted = AcceptConnection(subprotocol=subprotocol, extensions=[extension] if extension else [])
        response = self._wsproto.send(accepted)
        connection = self._wsproto.connection
        assert connection is not None
        # Straight to the frames from here on: what WSConnection adds is the handshake, 4 KiB of it.
        self._frames = connection
        del self._wsproto
        if extension is not None:
            self._splitter = None
            self._deflate = extension.deflate
        return response

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
        self._agreed = agreed
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
        return self._agreed.parameters()

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
