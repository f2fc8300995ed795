"""One accepted WebSocket connection: frames in become events, replies become frames.

The connection reads in the task that serves it and writes in a second one; everything it sends, control
frames included, goes through its Outbound, and nothing goes after its close frame. While the actor has no
room, it reads ahead a little, so that pings are answered and an end is noticed. A peer that closes gets the
replies to what it sent before that. Who may connect, and what a failure here may affect, is the listener's
concern.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog
import trio

from theater_protocol.messages import Reply
from theater_supervisor.exchange import MessageKind, Service
from theater_supervisor.gateway.closing import Closing, reason_for
from theater_supervisor.gateway.handshake import Admitted
from theater_supervisor.gateway.inbox import Inbox, ReceiveBudget
from theater_supervisor.gateway.keepalive import Keepalive
from theater_supervisor.gateway.limits import ConnectionLimits
from theater_supervisor.gateway.message import MessageAssembler, MessageTooBig, TooManyFragments
from theater_supervisor.gateway.rate import RateExceeded, RateLimiter
from theater_supervisor.gateway.stream import Outbound, SendBudget, Stream, linger, receive
from theater_supervisor.gateway.traffic import Traffic
from theater_supervisor.gateway.wire import (
    BoundedDeflate,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    TextMessage,
    Wire,
)

_log = structlog.get_logger()

_RECEIVE_BYTES: Final = 16 * 1024
_RECEIVE_MORE_BYTES: Final = 64 * 1024
_EVENTS_PER_TURN: Final = 64


class Connection:
    """An open connection, as a Client to its service. `serve` runs it from the 101 to its end."""

    def __init__(
        self,
        stream: Stream,
        service: Service,
        limits: ConnectionLimits,
        send_budget: SendBudget,
        receive_budget: ReceiveBudget,
        remote: str,
    ) -> None:
        self.client_address = remote
        self.opened_at_us = time.time_ns() // 1000
        self.traffic = Traffic(connections=1)
        self._stream = stream
        self._service = service
        self._limits = limits
        self._wire = Wire(stream, limits.max_message_bytes)
        self._outbound = Outbound(
            stream, limits.max_outbound_bytes, limits.send_timeout_s, send_budget, self._give_up
        )
        self._receive_budget = receive_budget
        self._assembler = MessageAssembler(
            limits.max_message_bytes, limits.max_fragments, limits.max_empty_fragments
        )
        self._inbox = Inbox(limits.max_held_events, limits.max_held_bytes)
        self._inbox_changed = trio.Event()
        now_s = trio.current_time()
        self._rate = RateLimiter(limits.rate_limit, now_s) if limits.rate_limit else None
        self._keepalive = Keepalive(limits.ping_interval_s, limits.ping_timeout_s, now_s)
        self._heard = True
        self._listening = True
        self._hushed = False
        self._connection = 0
        self._gone = False
        self._closing: Closing | None = None
        self._write_ended = trio.Event()
        self._reading = trio.CancelScope()
        self._awaiting_room = trio.CancelScope()
        self._awaiting_replies = trio.CancelScope()
        self._log = _log.bind(actor=service.name, remote=remote)

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

    async def serve(self, admitted: Admitted, on_gone: Callable[[], None]) -> None:
        """Accept the handshake and run the connection until it is closed or dropped.

        `on_gone` is called once, after Service.disconnect: when no more events can come, and before a peer
        that closed is told that it is closed.
        """
        try:
            async with trio.open_nursery() as nursery:
                self._accept(admitted)
                nursery.start_soon(self._write_task)
                await self._run(nursery, admitted, on_gone)
                nursery.cancel_scope.cancel()
        finally:
            self._outbound.close()

    def send(self, *results: Sequence[Reply]) -> None:
        """Send the replies of committed results (exchange.Client.send)."""
        for replies in results:
            self._send_result(replies)
        self._outbound.flush()

    def _send_result(self, replies: Sequence[Reply]) -> None:
        if len(replies) > self._limits.max_replies or self._are_too_large(replies):
            self._log.warning(
                "replies_refused", replies=len(replies), reason="over the handler's reply_limit"
            )
            self._close(Closing("server", 1011, reason_for(1011)))
        for reply in replies:
            if not self._can_send:
                return
            if reply.kind == "close":
                self.end(1000, "")
            else:
                self._send_reply(reply)

    def end(self, code: int, reason: str) -> None:
        """Close with `code` after what is queued (exchange.Client.end)."""
        self._close(Closing("server", code, reason))

    def hush(self) -> None:
        """Give the actor no more messages of the client, until `end`; control frames are answered still."""
        self._hushed = True

    @property
    def _is_open(self) -> bool:
        """Neither side has closed."""
        return self._wire.is_open and not self._gone

    @property
    def _can_send(self) -> bool:
        """Our side has not closed; the peer's may have."""
        return self._wire.can_send and not self._gone

    def _accept(self, admitted: Admitted) -> None:
        agreed = admitted.compression
        extension = BoundedDeflate(agreed, self._limits.max_message_bytes) if agreed else None
        self._outbound.push(
            self._wire.accept(admitted.target, admitted.headers, admitted.subprotocol, extension)
        )

    async def _run(self, nursery: trio.Nursery, admitted: Admitted, on_gone: Callable[[], None]) -> None:
        self._connection = self._service.connect(self)
        self._log = self._log.bind(connection=self._connection)
        self._log.info("connection_opened")
        if self._limits.ping_interval_s:
            nursery.start_soon(self._keep_alive)
        if admitted.expires_in_s is not None:
            nursery.start_soon(self._expire, admitted.expires_in_s)
        try:
            with self._reading, self._failing_alone():
                await self._read(nursery, admitted.early)
        finally:
            self._gone = True
            self._forget_received()
            self._service.disconnect(self._connection)
            on_gone()
            closing = self._closing or Closing("dropped", 1006, "")
            self._log.info("connection_closed", by=closing.by, code=closing.code, **closing.error_field())
        await self._leave()

    def _are_too_large(self, replies: Sequence[Reply]) -> bool:
        size = 0
        for reply in replies:
            if reply.payload:
                size += len(reply.payload)
        return size > self._limits.max_reply_bytes

    @contextmanager
    def _failing_alone(self) -> Iterator[None]:
        """Close 1011 for whatever breaks, here or in the actor's side: a connection's failure boundary."""
        try:
            yield
        except Exception:
            failure = Closing("server", 1011, reason_for(1011))
            self._log.exception("connection_failed", error=failure.error)
            self._close(failure)

    def _send_event(self, event: Event) -> None:
        self._push(self._wire.serialize(event))
        self._outbound.flush_soon()

    def _push(self, data: bytes) -> None:
        if self._outbound.push(data):
            self.traffic.bytes_out += len(data)
        else:
            self._give_up()

    def _give_up(self) -> None:
        """End a connection that doesn't read: what waits for it is dropped."""
        self._close(Closing("server", 1013, reason_for(1013)), discard=True)

    def _send_reply(self, reply: Reply) -> None:
        try:
            self._push(self._wire.serialize_reply(reply))
            self.traffic.messages_out += 1
        except ValueError as error:
            # A control frame of more than 125 bytes, or text that UTF-8 can't hold.
            self._log.warning("reply_refused", kind=reply.kind, reason=str(error))

    def _close(self, closing: Closing, *, discard: bool = False) -> None:
        """Queue our close frame unless there was one; with `discard` in place of what waits."""
        if self._can_send:
            self._queue_close(
                closing, CloseConnection(closing.code, closing.shown() or None), discard=discard
            )
        if discard:
            # What is under way may be stuck, so that the close frame is never written.
            self._await_close_frame()

    def _queue_close(self, closing: Closing, event: CloseConnection, *, discard: bool = False) -> None:
        self._closing = closing
        self._outbound.finish(self._wire.serialize(event), discard=discard)
        # Messages are of no use any more, the peer's close frame is: don't let it wait for room.
        self._forget_received()
        self._note_inbox()
        self._awaiting_room.cancel()
        self._awaiting_replies.cancel()

    def _await_close_frame(self) -> None:
        self._reading.deadline = min(
            self._reading.deadline, trio.current_time() + self._limits.close_timeout_s
        )

    async def _write_task(self) -> None:
        try:
            await self._outbound.write_all()
        except trio.TooSlowError:
            self._closing = Closing("server", 1013, reason_for(1013))
            self._reading.cancel()
        except trio.BrokenResourceError:
            self._reading.cancel()
        else:
            self._await_close_frame()
        finally:
            self._write_ended.set()

    async def _leave(self) -> None:
        """Let the peer read what is queued, then end the TCP connection gently."""
        if self._reading.cancelled_caught:
            return
        with trio.move_on_after(self._limits.linger_s):
            # A peer that only closed its sending side, without a close frame, still reads.
            self._outbound.finish(b"")
            await self._write_ended.wait()
            if not self._wire.is_finished:
                # Without the peer's close frame, more may be on its way and turn our close into a reset.
                await linger(self._stream, self._limits.linger_s)

    async def _keep_alive(self) -> None:
        """Ping the peer; end the connection when nothing comes from it."""
        while self._is_open:
            # Who isn't listened to, or has our ping still to read, isn't silent.
            heard = self._heard or not self._listening or self._outbound.held_bytes > 0
            self._heard = False
            due = self._keepalive.ask(trio.current_time(), heard=heard)
            if due.action == "ping":
                self._send_event(Ping(self._keepalive.payload()))
            elif due.action == "gone":
                self._close(Closing("server", 1011, "no answer to a ping"), discard=True)
            await trio.sleep(due.wait_s)

    async def _expire(self, after_s: float) -> None:
        """Close when the login ends."""
        await trio.sleep(after_s)
        self._close(Closing("server", 1008, "the login has expired"))

    async def _read(self, nursery: trio.Nursery, early: bytes) -> None:
        """Handle what comes until the connection ends."""
        data = early
        try:
            while True:
                if data:
                    self._heard = True
                    self.traffic.bytes_in += len(data)
                    if not await self._handle_events(nursery, data):
                        return
                more = len(data) >= _RECEIVE_BYTES and not self._receive_budget.is_tight
                size = _RECEIVE_MORE_BYTES if more else _RECEIVE_BYTES
                data = b""  # a silent client shall not keep what it sent last
                data = await receive(self._stream, size, at_once=more)
                if not data:
                    await self._handle_eof()
                    return
        except trio.BrokenResourceError:
            return

    async def _handle_events(self, nursery: trio.Nursery, data: bytes) -> bool:
        """Handle the frames that are complete; return False after the last one of the connection."""
        for count, event in enumerate(self._wire.receive(data), 1):
            match event:
                case str():
                    await self._deliver(nursery, "text", event)
                case bytes():
                    await self._deliver(nursery, "binary", event)
                case TextMessage() | BytesMessage():
                    if not await self._handle_piece(nursery, event):
                        return False
                case Ping():
                    if self._is_open:
                        self._send_event(event.response())
                        await self._deliver(nursery, "ping", bytes(event.payload))
                case Pong():
                    if not self._keepalive.is_answer(event.payload):
                        await self._deliver(nursery, "pong", bytes(event.payload))
                case CloseConnection():
                    await self._handle_close(event)
                    return False
            if count % _EVENTS_PER_TURN == 0:
                # One buffer holds thousands of empty frames; the other connections shall not wait for all.
                await trio.lowlevel.checkpoint()
        return True

    async def _handle_piece(self, nursery: trio.Nursery, event: TextMessage | BytesMessage) -> bool:
        if not self._is_open:
            return True
        try:
            data = event.data if isinstance(event.data, str) else bytes(event.data)
            message = self._assembler.add(data, event.message_finished, frame_finished=event.frame_finished)
        except MessageTooBig:
            self._close(Closing("server", 1009, reason_for(1009)))
            return False
        except TooManyFragments:
            self._close(Closing("server", 1008, "too many fragments"))
            return False
        self._count_received()
        if message is not None:
            await self._deliver(nursery, "text" if isinstance(message, str) else "binary", message)
        return True

    async def _handle_close(self, event: CloseConnection) -> None:
        if self._wire.is_open:
            # wsproto's word for a frame that breaks the rules; it has read nothing after it.
            self._close(Closing("server", int(event.code), reason_for(event.code)))
        elif self._wire.is_closing:
            await self._handed_over()
            await self._answered(trio.current_time() + self._limits.close_timeout_s)
            if self._can_send:
                self._queue_close(Closing("client", int(event.code), ""), event.response())

    async def _handle_eof(self) -> None:
        """Answer what came before the end, for the peer may have closed its sending side only.

        A dropped connection isn't kept for long: what the actor has no room for by then is lost.
        """
        self._listening = False
        deadline_s = trio.current_time() + self._limits.close_timeout_s
        with trio.move_on_at(deadline_s):
            await self._handed_over()
        await self._answered(deadline_s)
        if self._is_open:
            self._queue_close(Closing("dropped", 1006, ""), CloseConnection(1000))

    async def _answered(self, deadline_s: float) -> None:
        """Wait until the replies to all that was handed over are queued, or nothing can be sent any more."""
        if not self._can_send:
            return
        with trio.move_on_at(deadline_s), trio.CancelScope() as self._awaiting_replies:
            await self._service.answered(self._connection)
            return
        if self._can_send:
            self._log.info("replies_not_awaited", after_s=self._limits.close_timeout_s)

    async def _deliver(self, nursery: trio.Nursery, kind: MessageKind, payload: str | bytes) -> None:
        """Hand an event to the actor, or hold it; wait while too much is held."""
        if self._rate is not None and not await self._slow_down(self._rate):
            return
        if not self._is_open:
            return
        if not self._inbox and not self._hushed and self._service.has_room(self._connection, len(payload)):
            self.traffic.messages_in += 1
            self._service.receive(self._connection, kind, payload)
            return
        if not self._inbox:
            nursery.start_soon(self._hand_over)
        self._inbox.put(kind, payload)
        self._count_received()
        if self._holds_enough:
            await self._stop_listening()

    async def _stop_listening(self) -> None:
        """Read no further ahead until less is held."""
        self._listening = False
        while self._holds_enough:
            await self._inbox_changed.wait()
        self._listening = self._heard = True

    async def _slow_down(self, rate: RateLimiter) -> bool:
        try:
            wait_s = rate.take(trio.current_time())
        except RateExceeded:
            self._close(Closing("server", 1008, "too many messages"))
            return False
        if wait_s:
            self._listening = False
            await trio.sleep(wait_s)
            self._listening = self._heard = True
        return True

    async def _hand_over(self) -> None:
        """Give what is held to the actor as it has room."""
        with self._failing_alone(), trio.CancelScope() as self._awaiting_room:
            while self._inbox:
                if self._hushed:
                    await trio.sleep_forever()
                size = self._inbox.next_size
                if not self._service.has_room(self._connection, size):
                    await self._service.room(self._connection, size)
                    continue
                self.traffic.messages_in += 1
                self._service.receive(self._connection, *self._inbox.pop())
                self._count_received()
                self._note_inbox()

    async def _handed_over(self) -> None:
        while self._inbox:
            await self._inbox_changed.wait()

    @property
    def _holds_enough(self) -> bool:
        return self._inbox.is_full or (len(self._inbox) > 0 and self._receive_budget.is_tight)

    def _count_received(self) -> None:
        self._receive_budget.note(self._drop_received, self._inbox.held_bytes + self._assembler.held_bytes)

    def _forget_received(self) -> None:
        self._inbox.clear()
        self._assembler.clear()
        self._count_received()

    def _drop_received(self) -> None:
        """Close, since all connections together hold too much of what they received and this one most."""
        self._forget_received()
        self._note_inbox()
        self._close(Closing("server", 1013, "overloaded, try again later"))

    def _note_inbox(self) -> None:
        self._inbox_changed.set()
        self._inbox_changed = trio.Event()
