"""Reading a worker's next frames while something else is awaited, such as the commit of the last ones.

What was read, or what was wrong with it, is told only to who asks for it afterwards.
"""

from collections.abc import Awaitable, Callable

import trio

from theater_protocol.errors import RemoteProtocolError
from theater_protocol.messages import FromWorker
from theater_supervisor.actor.link import Link


class ReadAhead:
    """The next frames of a link, once."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._frames: list[FromWorker] | None = None
        self._error: RemoteProtocolError | None = None

    async def during(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work and read meanwhile; raises what the work does. What came in part stays in the link."""
        failed: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read)
            try:
                await work()
            except Exception as exc:  # raised below, where no group is made of it
                failed = exc
            nursery.cancel_scope.cancel()
        if failed is not None:
            raise failed

    async def receive(self) -> list[FromWorker]:
        """Return what was read, or else what comes next, as Link.receive does. Raises RemoteProtocolError."""
        if self._error is not None:
            raise self._error
        return await self._link.receive() if self._frames is None else self._frames

    async def _read(self) -> None:
        try:
            self._frames = await self._link.receive()
        except RemoteProtocolError as exc:
            self._error = exc
