"""One accepted WebSocket connection: frames in become events, replies become frames.

The only file that imports trio_websocket and wsproto. The connection reads in the task that serves it and
writes in a second one; everything it sends, control frames included, goes through its Outbound, and nothing
goes after its close frame. Who may connect, and what a failure here may affect, is the listener's concern.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog
import trio
from trio_websocket import WebSocketConnection
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, Request, TextMessage

from theater_protocol.messages import Reply
from theater_supervisor.exchange import MessageKind, Service
from theater_supervisor.gateway.handshake import Headers
from theater_supervisor.gateway.limits import ConnectionLimits
from theater_supervisor.gateway.message import MessageAssembler, MessageTooBig
from theater_supervisor.gateway.stream import Outbound, linger, remote_address
from theater_supervisor.gateway.traffic import Traffic

_log = structlog.get_logger()

_RECEIVE_BYTES: Final = 64 * 1024
_EVENTS_PER_TURN: Final = 64
_REASONS: Final = {
    1002: "protocol error",
    1007: "invalid UTF-8",
    1009: "message too big",
    1013: "replies are not being read",
}


class Connection(WebSocketConnection):
    """An open connection, as a Client to its service. `serve` runs it from the 101 to its end."""

    def __init__(self, stream: trio.SocketStream, service: Service, limits: ConnectionLimits) -> None:
        super().__init__(stream, WSConnection(ConnectionType.SERVER))
        self.client_address = remote_address(stream)
        self.opened_at_us = time.time_ns() // 1000
        self.traffic = Traffic(connections=1)
        self._tcp = stream
        self._service = service
        self._limits = limits
        self._outbound = Outbound(stream, limits.max_outbound_bytes, limits.send_timeout_s)
        self._assembler = MessageAssembler(limits.max_message_bytes)
        self._connection = 0
        self._gone = False
        self._hushed = False
        self._closed_by = "dropped"
        self._close_code = 1006
        self._written = trio.Event()
        self._reading = trio.CancelScope()
        self._awaiting_room = trio.CancelScope()
        self._log = _log.bind(actor=service.name, remote=self.client_address)

    @property
    def actor(self) -> str:
        """The name of the actor that it leads to."""
        return self._service.name

    @property
    def connection_id(self) -> int:
        """Its number with that actor, 0 before the actor has taken it on."""
        return self._connection

    @property
    def waiting_bytes(self) -> int:
        """What waits to be sent to the client."""
        return self._outbound.held_bytes

    async def serve(self, target: str, headers: Headers, early: bytes, on_gone: Callable[[], None]) -> None:
        """Accept the handshake and run the connection until it is closed or dropped.

        `headers` is the checked head of the request for `target`, `early` what came right after it. `on_gone`
        is called once, after Service.disconnect: when no more events can come, and before a peer that closed
        is told that it is closed.
        """
        async with trio.open_nursery() as nursery:
            await self._accept_upgrade(target, headers)
            nursery.start_soon(self._write_task)
            self._connection = self._service.connect(self)
            self._log = self._log.bind(connection=self._connection)
            self._log.info("connection_opened")
            try:
                with self._reading:
                    await self._read(early)
            finally:
                self._gone = True
                self._service.disconnect(self._connection)
                on_gone()
                self._log.info("connection_closed", by=self._closed_by, code=self._close_code)
            await self._leave()
            nursery.cancel_scope.cancel()

    def send(self, replies: Sequence[Reply]) -> None:
        """Queue the replies of one committed result (exchange.Client.send)."""
        for reply in replies:
            if not self._is_open:
                return
            if reply.kind == "close":
                self.end(1000, "")
            else:
                self._send_reply(reply)

    def end(self, code: int, reason: str) -> None:
        """Close with `code` after what is queued (exchange.Client.end)."""
        if self._is_open:
            self._queue_close("server", CloseConnection(code, reason or None))

    def hush(self) -> None:
        """Take no more messages from the client, until `end`; what it has sent stays unread."""
        self._hushed = True

    @property
    def _is_open(self) -> bool:
        return self._wsproto.state is ConnectionState.OPEN and not self._gone

    async def _accept_upgrade(self, target: str, headers: Headers) -> None:
        self._wsproto.initiate_upgrade_connection(list(headers), target)
        (request,) = self._wsproto.events()
        assert isinstance(request, Request)
        await self._accept(request, None, [])

    async def _send(self, event: Event) -> None:
        """Queue an event of the base class: the stream's sending side has one owner, the write task."""
        self._queue(event)

    def _queue(self, event: Event) -> None:
        data = self._wsproto.send(event)
        if self._outbound.push(data):
            self.traffic.bytes_out += len(data)
        else:
            self._fail(1013, discard=True)

    def _send_reply(self, reply: Reply) -> None:
        try:
            self._queue(_reply_event(reply))
            self.traffic.messages_out += 1
        except ValueError as error:
            # A control frame of more than 125 bytes, or text that UTF-8 can't hold.
            self._log.warning("reply_refused", kind=reply.kind, reason=str(error))

    def _queue_close(self, by: str, event: CloseConnection, *, discard: bool = False) -> None:
        self._closed_by, self._close_code = by, int(event.code)
        self._outbound.finish(self._wsproto.send(event), discard=discard)
        # Messages are of no use any more, the peer's close frame is: don't let it wait for room.
        self._awaiting_room.cancel()

    def _fail(self, code: int, *, discard: bool = False) -> None:
        if self._is_open:
            self._queue_close("server", CloseConnection(code, _REASONS.get(code)), discard=discard)
        if discard:
            # What is under way may be stuck, so that the close frame is never written.
            self._await_close_frame()

    def _await_close_frame(self) -> None:
        self._reading.deadline = trio.current_time() + self._limits.close_timeout_s

    async def _write_task(self) -> None:
        try:
            await self._outbound.write_all()
        except trio.TooSlowError:
            self._closed_by, self._close_code = "server", 1013
            self._reading.cancel()
        except trio.BrokenResourceError:
            self._reading.cancel()
        else:
            self._written.set()
            self._await_close_frame()

    async def _leave(self) -> None:
        """Let the peer read a close frame that is queued, then end the TCP connection gently."""
        if self._wsproto.state is ConnectionState.OPEN or self._reading.cancelled_caught:
            return
        with trio.move_on_after(self._limits.linger_s):
            await self._written.wait()
            if self._wsproto.state is not ConnectionState.CLOSED:
                # Without the peer's close frame, more may be on its way and turn our close into a reset.
                await linger(self._tcp, self._limits.linger_s)

    async def _read(self, early: bytes) -> None:
        """Handle what comes until the connection ends."""
        data = early
        try:
            while True:
                if data:
                    self.traffic.bytes_in += len(data)
                    self._wsproto.receive_data(data)
                    if not await self._handle_events():
                        return
                data = await self._tcp.receive_some(_RECEIVE_BYTES)
                if not data:
                    return
        except trio.BrokenResourceError:
            return

    async def _handle_events(self) -> bool:
        """Handle the frames that are complete; return False after the last one of the connection."""
        for count, event in enumerate(self._wsproto.events(), 1):
            match event:
                case TextMessage() | BytesMessage():
                    if not await self._handle_piece(event):
                        return False
                case Ping():
                    await self._handle_ping(event)
                case Pong():
                    await self._deliver("pong", bytes(event.payload))
                case CloseConnection():
                    self._handle_close(event)
                    return False
            if count % _EVENTS_PER_TURN == 0:
                # One buffer holds thousands of empty frames; the other connections shall not wait for all.
                await trio.lowlevel.checkpoint()
        return True

    async def _handle_piece(self, event: TextMessage | BytesMessage) -> bool:
        if not self._is_open:
            return True
        try:
            data = event.data if isinstance(event.data, str) else bytes(event.data)
            message = self._assembler.add(data, event.message_finished)
        except MessageTooBig:
            self._fail(1009)
            return False
        if message is not None:
            await self._deliver("text" if isinstance(message, str) else "binary", message)
        return True

    async def _handle_ping(self, event: Ping) -> None:
        if self._is_open:
            self._queue(event.response())
            await self._deliver("ping", bytes(event.payload))

    def _handle_close(self, event: CloseConnection) -> None:
        match self._wsproto.state:
            case ConnectionState.OPEN:
                # wsproto's word for a frame that breaks the rules; it has read nothing after it.
                self._fail(event.code)
            case ConnectionState.REMOTE_CLOSING:
                self._queue_close("client", event.response())
            case _:
                pass  # the answer to our close frame, or a broken frame after it

    async def _deliver(self, kind: MessageKind, payload: str | bytes) -> None:
        while self._is_open:
            if not self._hushed and self._service.has_room(self._connection):
                self.traffic.messages_in += 1
                self._service.receive(self._connection, kind, payload)
                return
            # A peer that drops its TCP connection meanwhile is noticed once there is room again.
            with trio.CancelScope() as self._awaiting_room:
                if self._hushed:
                    await trio.sleep_forever()
                await self._service.room(self._connection)


def _reply_event(reply: Reply) -> Event:
    payload = reply.payload
    match reply.kind, payload:
        case "text", str():
            return TextMessage(payload)
        case "binary", bytes():
            return BytesMessage(payload)
        case "ping", bytes():
            return Ping(payload)
        case "pong", bytes():
            return Pong(payload)
        case _:
            raise ValueError(f"a {reply.kind} reply cannot carry {type(payload).__name__}")
