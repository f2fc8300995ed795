"""How a peer's end is met: its close frame, one that breaks the rules, the end of its stream.

A peer that closes gets the replies to what it sent before that. What is closed for other reasons, and how the
close frame goes out, is not here.
"""

import trio

from theater_supervisor.exchange import Service
from theater_supervisor.gateway.connection.closing import Closing, reason_for
from theater_supervisor.gateway.connection.intake import Intake
from theater_supervisor.gateway.connection.limits import ConnectionLimits
from theater_supervisor.gateway.connection.sender import Sender
from theater_supervisor.gateway.connection.wire import CloseConnection, Wire


class Goodbye:
    """The last thing that one connection reads, and what it is answered with."""

    def __init__(
        self, service: Service, limits: ConnectionLimits, wire: Wire, intake: Intake, sender: Sender
    ) -> None:
        self.log = sender.log
        self._service = service
        self._limits = limits
        self._wire = wire
        self._intake = intake
        self._sender = sender
        self._awaiting_replies = trio.CancelScope()

    def give_up_waiting(self) -> None:
        """Wait for replies no longer: our own close frame is queued."""
        self._awaiting_replies.cancel()

    async def of_peer(self, event: CloseConnection) -> None:
        """Answer a close frame, or what takes the place of one for a frame that breaks the rules."""
        if self._wire.is_open:
            # wsproto's word for a frame that breaks the rules; it has read nothing after it.
            self._sender.close(Closing("server", int(event.code), reason_for(event.code)))
        elif self._wire.is_closing:
            await self._intake.handed_over()
            await self._answered(trio.current_time() + self._limits.close_timeout_s)
            self._sender.answer(Closing("client", int(event.code), ""), event.response())

    async def of_stream(self) -> None:
        """Answer what came before the end, for the peer may have closed its sending side only.

        A dropped connection isn't kept for long: what the actor has no room for by then is lost.
        """
        self._intake.is_listening = False
        deadline_s = trio.current_time() + self._limits.close_timeout_s
        with trio.move_on_at(deadline_s):
            await self._intake.handed_over()
        await self._answered(deadline_s)
        self._sender.answer(Closing("dropped", 1006, ""), CloseConnection(1000))

    async def _answered(self, deadline_s: float) -> None:
        """Wait until the replies to all that was handed over are queued, or nothing can be sent any more."""
        if not self._sender.can_send:
            return
        with trio.move_on_at(deadline_s), trio.CancelScope() as self._awaiting_replies:
            await self._service.answered(self._intake.connection)
            return
        if self._sender.can_send:
            self.log.info("replies_not_awaited", after_s=self._limits.close_timeout_s)
