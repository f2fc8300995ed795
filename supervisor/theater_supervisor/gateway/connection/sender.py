"""What a connection sends: replies and control frames in order, a close frame, and nothing after it.

It decides what the close frame says when a client doesn't read; when else to close is for others. Bytes wait
in its Outbound, whose task `run` is.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import trio

from theater_protocol.messages import Reply
from theater_supervisor.gateway.connection.closing import Closing, reason_for
from theater_supervisor.gateway.connection.limits import ConnectionLimits
from theater_supervisor.gateway.connection.outbound import Outbound, SendBudget
from theater_supervisor.gateway.connection.stream import Stream, linger, reset, see_off
from theater_supervisor.gateway.connection.traffic import Traffic
from theater_supervisor.gateway.connection.wire import CloseConnection, Event, Wire
from theater_supervisor.logs.peer_log import PeerLog

_PART: Final = 256  # replies


class Sender:
    """The sending side of one connection, until its close frame or until `stop`.

    `on_close` is called when the close frame is queued; `reading` is the scope of what awaits the peer's, and
    is cancelled when the peer is gone. `closing` says who has closed and how.
    """

    def __init__(
        self,
        stream: Stream,
        wire: Wire,
        limits: ConnectionLimits,
        budget: SendBudget,
        traffic: Traffic,
        reading: trio.CancelScope,
        on_close: Callable[[], None],
        log: PeerLog,
    ) -> None:
        self.log = log
        self.closing: Closing | None = None
        self._stream = stream
        self._wire = wire
        self._limits = limits
        self._traffic = traffic
        self._reading = reading
        self._on_close = on_close
        self._outbound = Outbound(
            stream, limits.max_outbound_bytes, limits.send_timeout_s, budget, self._evict
        )
        self._writing = trio.CancelScope()
        self._end_by_s = math.inf
        self._refused = 0
        self._stopped = False
        self._run_ended = trio.Event()

    @property
    def is_open(self) -> bool:
        """Neither side has closed."""
        return self._wire.is_open and not self._stopped

    @property
    def can_send(self) -> bool:
        """Our side has not closed; the peer's may have."""
        return self._wire.can_send and not self._stopped

    @property
    def held_bytes(self) -> int:
        """What waits to be sent."""
        return self._outbound.held_bytes

    def begin(self, response: bytes) -> None:
        """Send what accepts the handshake."""
        self._outbound.push(response)
        self._outbound.flush()

    def send(self, results: Sequence[Sequence[Reply]]) -> None:
        """Send the replies of committed results, in one write where it can."""
        for replies in results:
            self._refuse_too_much(replies)
            self._send_replies(replies)
        self._outbound.flush()

    def send_in_parts(self, replies: Sequence[Reply]) -> Iterator[None]:
        """Send the replies of one committed result, some of them at each step."""
        self._refuse_too_much(replies)
        for at in range(0, len(replies), _PART):
            self._send_replies(replies[at : at + _PART])
            self._outbound.flush()
            yield

    def send_event(self, event: Event) -> None:
        """Send a control frame with what else goes out soon."""
        self._push(self._wire.serialize(event))
        self._outbound.flush_soon()

    def close(self, closing: Closing, *, discard: bool = False) -> None:
        """Queue our close frame unless there was one; with `discard` in place of what waits."""
        self.answer(closing, CloseConnection(closing.code, closing.shown() or None), discard=discard)
        if discard:
            # What is under way may be stuck, so that the close frame is never written.
            self._await_close_frame()

    def answer(self, closing: Closing, event: CloseConnection, *, discard: bool = False) -> None:
        """Queue this close frame unless there was one."""
        if self.can_send:
            self.closing = closing
            self._end_within(self._limits.closing_timeout_s)
            self._outbound.finish(self._wire.serialize(event), discard=discard)
            self._on_close()

    async def run(self) -> None:
        """Write what can't be written at once, until the close frame is."""
        try:
            with self._writing:
                await self._outbound.write_all()
        except trio.TooSlowError:
            self._abandon(Closing("server", 1013, reason_for(1013)))
        except trio.BrokenResourceError:
            self._reading.cancel()
        else:
            self._await_close_frame()
        finally:
            self._run_ended.set()

    def stop(self) -> None:
        """Queue nothing any more: the connection is gone, or about to be."""
        self._stopped = True

    async def leave(self) -> None:
        """Let the peer read what is queued, then end the TCP connection gently."""
        with trio.move_on_after(self._limits.linger_s):
            self._outbound.finish(b"")
            await self._run_ended.wait()
            if not self._wire.is_finished:
                # Without the peer's close frame, more may be on its way and turn our close into a reset.
                await linger(self._stream, self._limits.linger_s)

    async def see_off(self) -> None:
        """Let the peer read what was written, until the deadline of our close; reset what it doesn't."""
        if self._outbound.held_bytes:
            reset(self._stream)
        else:
            self._end_within(self._limits.closing_timeout_s)
            await see_off(self._stream, self._end_by_s)

    def release(self) -> None:
        """Let go of what waits, and of who would be told: nothing will be written any more."""
        self._outbound.close()
        self._on_close = _nobody

    def _refuse_too_much(self, replies: Sequence[Reply]) -> None:
        if len(replies) > self._limits.max_replies or self._are_too_large(replies):
            self.log.warning("replies_refused", replies=len(replies), reason="over the handler's reply_limit")
            self.close(Closing("server", 1011, reason_for(1011)))

    def _send_replies(self, replies: Sequence[Reply]) -> None:
        for reply in replies:
            if not self.can_send:
                return
            if reply.kind == "close":
                self.close(Closing("server", 1000, ""))
            else:
                self._send_reply(reply)

    def _are_too_large(self, replies: Sequence[Reply]) -> bool:
        size = 0
        for reply in replies:
            if reply.payload:
                size += len(reply.payload)
        return size > self._limits.max_reply_bytes

    def _send_reply(self, reply: Reply) -> None:
        try:
            self._push(self._wire.serialize_reply(reply))
            self._traffic.messages_out += 1
        except ValueError as error:
            # A control frame of more than 125 bytes, or text that UTF-8 can't hold.
            self._refused += 1
            # Of thousands, that one event can bring about, a dozen lines tell.
            if self._refused.bit_count() == 1:
                self.log.warning(
                    "reply_refused", kind=reply.kind, reason=str(error), refused_so_far=self._refused
                )

    def _push(self, data: bytes) -> None:
        if self._outbound.push(data):
            self._traffic.bytes_out += len(data)
        else:
            self._give_up()

    def _give_up(self) -> None:
        """End a connection that doesn't read: what waits for it is dropped."""
        self.close(Closing("server", 1013, reason_for(1013)), discard=True)

    def _evict(self) -> None:
        """Let go of what all connections together have no room for: a large frame that has begun, too."""
        if self._outbound.can_discard and self.can_send:
            self._give_up()
        else:
            self._abandon(Closing("server", 1013, reason_for(1013)))

    def _abandon(self, closing: Closing) -> None:
        """End the connection without a close frame, which could only follow a frame that isn't read."""
        self.closing = self.closing or closing
        self.stop()
        self._end_by_s = -math.inf
        self._outbound.close()
        self._writing.cancel()
        self._reading.cancel()

    def _end_within(self, after_s: float) -> None:
        self._end_by_s = min(self._end_by_s, trio.current_time() + after_s)
        self._reading.deadline = min(self._reading.deadline, self._end_by_s)

    def _await_close_frame(self) -> None:
        self._reading.deadline = min(
            self._reading.deadline, trio.current_time() + self._limits.close_timeout_s
        )


def _nobody() -> None:
    """Take the place of whoever was told."""
