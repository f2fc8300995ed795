"""What a connection has received and how the actor gets it: pieces of messages joined, events held for room.

At most so much is held here and by all connections together, and at most so fast is it taken; while too much
is held, `deliver` waits, and with it the reading. Nothing here reads, writes or closes: `close` is called.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from theater_supervisor.exchange import MessageKind, Service
from theater_supervisor.gateway.connection.closing import Closing
from theater_supervisor.gateway.connection.inbox import Inbox, ReceiveBudget
from theater_supervisor.gateway.connection.limits import ConnectionLimits
from theater_supervisor.gateway.connection.message import MessageAssembler
from theater_supervisor.gateway.connection.rate import RateExceeded, RateLimiter
from theater_supervisor.gateway.connection.traffic import Traffic

_OVERLOADED: Final = "overloaded, try again later"


class Intake:
    """The way from one connection's frames to its actor, in order.

    `start` runs a function as a task of the connection. `is_listening` is false while the client is not read
    from for reasons of ours. `chunk_bytes` is how much the connection has read and is going through, if that
    is much.
    """

    def __init__(
        self,
        service: Service,
        limits: ConnectionLimits,
        budget: ReceiveBudget,
        traffic: Traffic,
        start: Callable[[Callable[[], Awaitable[None]]], None],
        close: Callable[[Closing], None],
    ) -> None:
        self.connection = 0
        self.is_listening = True
        self.chunk_bytes = 0
        self._service = service
        self._budget = budget
        self._traffic = traffic
        self._start = start
        self._close = close
        self._assembler = MessageAssembler(
            limits.max_message_bytes, limits.max_fragments, limits.max_empty_fragments
        )
        self._inbox = Inbox(limits.max_held_events, limits.max_held_bytes)
        self._inbox_changed = trio.Event()
        self._rate = RateLimiter(limits.rate_limit, trio.current_time()) if limits.rate_limit else None
        self._awaiting_room = trio.CancelScope()
        self._hushed = False
        self._ended = False

    def join(self, piece: str | bytes, finished: bool, *, frame_finished: bool) -> str | bytes | None:
        """Return the message with its last piece, None before it; raises as MessageAssembler.add does."""
        if self._ended:
            return None
        message = self._assembler.add(piece, finished, frame_finished=frame_finished)
        self._count()
        return message

    async def deliver(self, kind: MessageKind, payload: str | bytes) -> None:
        """Hand an event to the actor, or hold it; wait while too much is held."""
        if self._rate is not None:
            await self._slow_down(self._rate)
        if self._ended:
            return
        if not self._inbox and not self._hushed and self._service.has_room(self.connection, len(payload)):
            self._traffic.messages_in += 1
            self._service.receive(self.connection, kind, payload)
            return
        if not self._inbox:
            self._start(self._hand_over)
        self._inbox.put(kind, payload)
        self._count()
        if self._holds_enough:
            await self._stop_listening()

    async def handed_over(self) -> None:
        """Wait until the actor has all of it."""
        while self._inbox:
            await self._inbox_changed.wait()

    def hush(self) -> None:
        """Hand over nothing any more, but hold what comes until `end`."""
        self._hushed = True

    def end(self) -> None:
        """Take nothing any more and drop what is held: nobody waits for room."""
        self._ended = True
        self._forget()
        self._note_inbox()
        self._awaiting_room.cancel()

    def release(self) -> None:
        """Let go of who would be called, after `end`: what is in no cycle is gone without a collection."""
        self._start = _nobody

    async def _stop_listening(self) -> None:
        self.is_listening = False
        self._count()
        while self._holds_enough:
            await self._inbox_changed.wait()
        self.is_listening = True
        self._count()

    async def _slow_down(self, rate: RateLimiter) -> None:
        try:
            wait_s = rate.take(trio.current_time())
        except RateExceeded:
            self._close(Closing("server", 1008, "too many messages"))
            return
        if wait_s:
            self.is_listening = False
            self._count()
            await trio.sleep(wait_s)
            self.is_listening = True
            self._count()

    async def _hand_over(self) -> None:
        """Give what is held to the actor as it has room."""
        with trio.CancelScope() as self._awaiting_room:
            while self._inbox:
                if self._hushed:
                    await trio.sleep_forever()
                size = self._inbox.next_size
                if not self._service.has_room(self.connection, size):
                    await self._service.room(self.connection, size)
                    continue
                self._traffic.messages_in += 1
                self._service.receive(self.connection, *self._inbox.pop())
                self._count()
                self._note_inbox()

    @property
    def _holds_enough(self) -> bool:
        return self._inbox.is_full or (len(self._inbox) > 0 and self._budget.is_tight)

    def _count(self) -> None:
        held_bytes = self._inbox.held_bytes + self._assembler.held_bytes
        # Who waits here keeps what it has read and is in the middle of.
        self._budget.note(self._give_up, held_bytes if self.is_listening else held_bytes + self.chunk_bytes)

    def _forget(self) -> None:
        self._inbox.clear()
        self._assembler.clear()
        self._budget.note(self._give_up, 0)

    def _give_up(self) -> None:
        """Close, since all connections together hold too much of what they received and this one most."""
        self._forget()
        self._note_inbox()
        self._close(Closing("server", 1013, _OVERLOADED))

    def _note_inbox(self) -> None:
        self._inbox_changed.set()
        self._inbox_changed = trio.Event()


def _nobody(task: Callable[[], Awaitable[None]]) -> None:
    """Take the place of whoever would have started it."""
