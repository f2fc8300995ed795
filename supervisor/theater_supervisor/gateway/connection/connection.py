"""One accepted WebSocket connection: frames in become events, replies become frames.

The connection reads in the task that serves it; what it reads goes through its Intake, what it sends through
its Sender. While the actor has no room, it reads ahead a little, so that pings are answered and an end is
noticed. How a peer's end is met is its Goodbye's. Who may connect, and what a failure
here may affect, is the listener's concern.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import trio

from theater_protocol.messages import Reply
from theater_supervisor.clock import WALL
from theater_supervisor.exchange import Service, new_error_id
from theater_supervisor.gateway.connection.admitted import Admitted
from theater_supervisor.gateway.connection.closing import Closing, reason_for
from theater_supervisor.gateway.connection.goodbye import Goodbye
from theater_supervisor.gateway.connection.inbox import ReceiveBudget
from theater_supervisor.gateway.connection.intake import Intake
from theater_supervisor.gateway.connection.keepalive import Keepalive
from theater_supervisor.gateway.connection.limits import ConnectionLimits
from theater_supervisor.gateway.connection.message import MessageTooBig, TooManyFragments
from theater_supervisor.gateway.connection.outbound import SendBudget
from theater_supervisor.gateway.connection.sender import Sender
from theater_supervisor.gateway.connection.stream import Stream, receive
from theater_supervisor.gateway.connection.traffic import Traffic
from theater_supervisor.gateway.connection.turns import Turns
from theater_supervisor.gateway.connection.wire import (
    BoundedDeflate,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    TextMessage,
    Wire,
)
from theater_supervisor.logs.peer_log import PeerLog

_LOGIN_CHECK_S: Final = 30.0  # for a suspended machine

_RECEIVE_BYTES: Final = 16 * 1024
_RECEIVE_MORE_BYTES: Final = 64 * 1024
# Of a long message at one time. In smaller pieces those of several connections come in turns, all end at
# about the same time, and then nothing is read while all are committed.
_RECEIVE_MOST_BYTES: Final = 256 * 1024
# What this inflates to takes milliseconds, if it was made for that.
_MUCH_DEFLATED_BYTES: Final = 1024
# In messages that came the short way; any other event takes about as long as eight of them.
_WORK_PER_TURN: Final = 64
_LONG_WAY: Final = 8


class Connection:
    """An open connection, as a Client to its service. `serve` runs it from the 101 to its end."""

    _nursery: trio.Nursery

    def __init__(
        self,
        stream: Stream,
        service: Service,
        limits: ConnectionLimits,
        send_budget: SendBudget,
        receive_budget: ReceiveBudget,
        turns: Turns,
        remote: str,
        log: PeerLog,
    ) -> None:
        self.client_address = remote
        self.opened_at_us = time.time_ns() // 1000
        self.traffic = Traffic(connections=1)
        self._stream = stream
        self._service = service
        self._limits = limits
        self._receive_budget = receive_budget
        self._turns = turns
        self._log = log.bind(actor=service.name, remote=remote)
        self._reading = trio.CancelScope()
        self._wire = Wire(stream, limits.max_message_bytes)
        self._sender = Sender(
            stream, self._wire, limits, send_budget, self.traffic, self._reading, self._on_close, self._log
        )
        self._intake = Intake(service, limits, receive_budget, self.traffic, self._start, self._sender.close)
        self._goodbye = Goodbye(service, limits, self._wire, self._intake, self._sender)
        self._keepalive = Keepalive(limits.ping_interval_s, limits.ping_timeout_s, trio.current_time())
        self._heard = True

    @property
    def actor(self) -> str:
        """The name of the actor that it leads to."""
        return self._service.name

    @property
    def connection_id(self) -> int:
        """Its number with that actor, 0 before the actor has taken it on."""
        return self._intake.connection

    @property
    def scope(self) -> trio.CancelScope:
        """What it runs in, while it is served: cancelled, it is dropped."""
        return self._nursery.cancel_scope

    @property
    def waiting_bytes(self) -> int:
        """What waits to be sent to the client."""
        return self._sender.held_bytes

    async def serve(self, admitted: Admitted, on_gone: Callable[[], None]) -> None:
        """Accept the handshake and run the connection until it is closed or dropped.

        `on_gone` is called once, after Service.disconnect: when no more events can come, and before a peer
        that closed is told that it is closed.
        """
        try:
            async with trio.open_nursery() as self._nursery:
                self._accept(admitted)
                self._nursery.start_soon(self._sender.run)
                await self._run(admitted, on_gone)
                self._nursery.cancel_scope.cancel()
        finally:
            self._intake.release()
            self._sender.release()

    def send(self, *results: Sequence[Reply]) -> None:
        """Send the replies of committed results (exchange.Client.send)."""
        self._sender.send(results)

    def send_in_parts(self, replies: Sequence[Reply]) -> Iterator[None]:
        """Send the many replies of one committed result, some at a time (exchange.Client.send_in_parts)."""
        return self._sender.send_in_parts(replies)

    def end(self, code: int, reason: str, error: str = "") -> None:
        """Close with `code` after what is queued (exchange.Client.end)."""
        self._sender.close(Closing("server", code, reason, error or new_error_id()))

    def hush(self) -> None:
        """Give the actor no more messages of the client, until `end`; control frames are answered still."""
        self._intake.hush()

    def _accept(self, admitted: Admitted) -> None:
        agreed = admitted.compression
        extension = BoundedDeflate(agreed, self._limits.max_message_bytes) if agreed else None
        self._sender.begin(self._wire.accept(admitted.key, admitted.subprotocol, extension))

    async def _run(self, admitted: Admitted, on_gone: Callable[[], None]) -> None:
        connection = self._intake.connection = self._service.connect(self)
        self._log = self._sender.log = self._goodbye.log = self._log.bind(connection=connection)
        self._log.info("connection_opened")
        if self._limits.ping_interval_s:
            self._nursery.start_soon(self._keep_alive)
        if admitted.expires_in_s is not None:
            self._nursery.start_soon(self._expire, admitted.expires_in_s)
        try:
            with self._reading, self._failing_alone():
                await self._read(admitted.early)
                await self._turns.next()  # a crowd that leaves shall not do so in one round
        finally:
            self._sender.stop()
            self._intake.end()
            self._service.disconnect(connection)
            on_gone()
            closing = self._sender.closing or Closing("dropped", 1006, "")
            self._log.info("connection_closed", by=closing.by, code=closing.code, **closing.error_field())
        if not self._reading.cancelled_caught:
            await self._sender.leave()
        await self._sender.see_off()

    @contextmanager
    def _failing_alone(self) -> Iterator[None]:
        """Close 1011 for whatever breaks, here or in the actor's side: a connection's failure boundary."""
        try:
            yield
        except Exception:
            failure = Closing("server", 1011, reason_for(1011))
            self._log.exception("connection_failed", error=failure.error)
            self._sender.close(failure)

    def _start(self, task: Callable[[], Awaitable[None]]) -> None:
        self._nursery.start_soon(self._failing_in, task)

    async def _failing_in(self, task: Callable[[], Awaitable[None]]) -> None:
        with self._failing_alone():
            await task()

    def _on_close(self) -> None:
        # Messages are of no use any more, the peer's close frame is: don't let it wait for room.
        self._intake.end()
        self._goodbye.give_up_waiting()

    async def _keep_alive(self) -> None:
        """Ping the peer; end the connection when nothing comes from it."""
        while self._sender.is_open:
            # Who isn't listened to, or has our ping still to read, isn't silent.
            heard = self._heard or not self._intake.is_listening or self._sender.held_bytes > 0
            self._heard = False
            due = self._keepalive.ask(trio.current_time(), heard=heard)
            if due.action == "ping":
                self._sender.send_event(Ping(self._keepalive.payload()))
            elif due.action == "gone":
                self._sender.close(Closing("server", 1011, "no answer to a ping"), discard=True)
            await trio.sleep(due.wait_s)

    async def _expire(self, after_s: float) -> None:
        """Close when the login ends, by the wall clock too: trio's stands still on a suspended machine."""
        ends_us, ends_s = WALL.now_us() + after_s * 1_000_000, trio.current_time() + after_s
        while (left_s := ends_s - trio.current_time()) > 0 and WALL.now_us() < ends_us:  # noqa: ASYNC110
            await trio.sleep(min(left_s, _LOGIN_CHECK_S))
        self._sender.close(Closing("server", 1008, "the login has expired"))

    async def _read(self, early: bytes) -> None:
        """Handle what comes until the connection ends."""
        data = early
        try:
            while True:
                if data:
                    self._heard = True
                    self.traffic.bytes_in += len(data)
                    self._intake.chunk_bytes = len(data) if len(data) > _RECEIVE_BYTES else 0
                    if self._wire.inflates and len(data) > _MUCH_DEFLATED_BYTES:
                        await self._turns.next()
                    if not await self._handle_events(data):
                        return
                turns = self._turns if len(data) >= _RECEIVE_BYTES else None
                more = turns is not None and not self._receive_budget.is_tight
                size = max(_RECEIVE_MORE_BYTES, self._wire.missing_bytes) if more else _RECEIVE_BYTES
                size = min(size, _RECEIVE_MOST_BYTES)
                data = b""  # a silent client shall not keep what it sent last
                self._heard = True  # handling it may have taken its time, in which nobody was listened to
                data = await receive(self._stream, size, turns)
                if not data:
                    await self._goodbye.of_stream()
                    return
        except trio.BrokenResourceError:
            return

    async def _handle_events(self, data: bytes) -> bool:
        """Handle the frames that are complete; return False after the last one of the connection."""
        work = 0
        for event in self._wire.receive(data):
            match event:
                case str():
                    work += 1
                    await self._intake.deliver("text", event)
                case bytes():
                    work += 1
                    await self._intake.deliver("binary", event)
                case _:
                    work += _LONG_WAY
                    if not await self._handle_event(event):
                        return False
            if work >= _WORK_PER_TURN:
                # One buffer holds thousands of empty frames; the other connections shall not wait for all.
                work = 0
                await self._turns.next()
        return True

    async def _handle_event(self, event: Event) -> bool:
        """Handle what did not come the short way; return False after the last one."""
        match event:
            case TextMessage() | BytesMessage():
                return await self._handle_piece(event)
            case Ping():
                if self._sender.is_open:
                    self._sender.send_event(event.response())
                    await self._intake.deliver("ping", bytes(event.payload))
            case Pong():
                if not self._keepalive.is_answer(event.payload):
                    await self._intake.deliver("pong", bytes(event.payload))
            case CloseConnection():
                await self._goodbye.of_peer(event)
                return False
        return True

    async def _handle_piece(self, event: TextMessage | BytesMessage) -> bool:
        data = event.data if isinstance(event.data, str) else bytes(event.data)
        try:
            message = self._intake.join(data, event.message_finished, frame_finished=event.frame_finished)
        except MessageTooBig:
            self._sender.close(Closing("server", 1009, reason_for(1009)))
            return False
        except TooManyFragments:
            self._sender.close(Closing("server", 1008, "too many fragments"))
            return False
        if message is not None:
            await self._intake.deliver("text" if isinstance(message, str) else "binary", message)
        return True
