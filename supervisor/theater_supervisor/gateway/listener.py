"""Listening sockets, and a cage around every connection that comes in by them.

A connection is accepted, its handshake read and judged, a slot of its route taken, and then it is served; all
of that in one task, whose failure ends that connection and nothing else. What a handshake must look like is
`handshake`'s, what happens on an open connection is `connection`'s.
"""

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
import trio

from theater_supervisor.gateway.admission import Slot, Slots
from theater_supervisor.gateway.connection import Connection
from theater_supervisor.gateway.handshake import (
    Head,
    Headers,
    HeadReader,
    Rejection,
    origin_form,
    websocket_headers,
)
from theater_supervisor.gateway.limits import ConnectionLimits
from theater_supervisor.gateway.routes import Route, RoutingTable
from theater_supervisor.gateway.stream import linger, remote_address

Address = tuple[str, int]

_log = structlog.get_logger()

_HEAD_READ_BYTES: Final = 16 * 1024
_ACCEPT_PAUSE_S: Final = 0.1
_RETRY_AFTER_S: Final = 5


async def bind(host: str, port: int) -> list[trio.SocketListener]:
    """Bind and listen on every address of `host` with SO_REUSEADDR; port 0 takes a free one.

    Raises OSError: its errno says why (EADDRINUSE, EACCES, …), and what was bound before is closed again.
    """
    return await trio.open_tcp_listeners(port, host=host)


@dataclass(frozen=True, slots=True)
class _Entrance:
    route: Route
    slots: Slots


@dataclass(frozen=True, slots=True)
class _Admitted:
    route: Route
    slot: Slot
    target: str
    headers: Headers
    early: bytes


class Gateway:
    """The way in for clients: serves every route on its listeners.

    Raises ValueError when two routes share address and path.
    """

    def __init__(self, routes: Sequence[Route], limits: ConnectionLimits | None = None) -> None:
        self._limits = limits or ConnectionLimits()
        self._tables = {
            address: RoutingTable(
                (route.path, _Entrance(route, Slots(route.max_connections)))
                for route in routes
                if (route.host, route.port) == address
            )
            for address in {(route.host, route.port) for route in routes}
        }
        self._addresses: dict[Address, list[Address]] = {}
        self._connections: set[Connection] = set()
        self._handshakes: set[trio.CancelScope] = set()
        self._draining = False
        self._accepting = trio.CancelScope()
        self._cages = trio.CancelScope()
        self._ended: trio.Event | None = None

    def addresses(self) -> Mapping[Address, Sequence[Address]]:
        """Return what is listening: for each (host, port) of the routes, the addresses that are bound."""
        return self._addresses

    @property
    def open_connections(self) -> int:
        """How many WebSocket connections are open."""
        return len(self._connections)

    async def serve(
        self,
        listeners: Mapping[Address, Sequence[trio.SocketListener]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept and serve clients until cancelled or drained; then every connection is gone.

        `listeners` has what `bind` returned for each address of the routes, and is closed at the end. Raises
        ValueError when the addresses differ.
        """
        if self._tables.keys() != listeners.keys():
            raise ValueError(f"routes for {sorted(self._tables)}, but listeners for {sorted(listeners)}")
        self._addresses = {
            address: [listener.socket.getsockname()[:2] for listener in bound]
            for address, bound in listeners.items()
        }
        self._ended = trio.Event()
        try:
            with self._cages:
                async with trio.open_nursery() as cages:
                    await self._accept_all(listeners, cages, task_status)
        finally:
            self._ended.set()

    async def drain(self, code: int = 1001, grace_s: float = 5) -> None:
        """Stop accepting, close every connection with `code`, and drop what is left after `grace_s`.

        `serve` returns then. Handshakes under way are dropped at once.
        """
        self._draining = True
        self._accepting.cancel()
        for scope in tuple(self._handshakes):
            scope.cancel()
        for connection in tuple(self._connections):
            connection.end(code, "going away")
        if self._ended is None:
            return
        with trio.move_on_after(grace_s):
            await self._ended.wait()
        self._cages.cancel()
        await self._ended.wait()

    async def _accept_all(
        self,
        listeners: Mapping[Address, Sequence[trio.SocketListener]],
        cages: trio.Nursery,
        task_status: trio.TaskStatus[None],
    ) -> None:
        with self._accepting:
            async with trio.open_nursery() as accepting:
                for address, bound in listeners.items():
                    for listener in bound:
                        accepting.start_soon(self._accept, listener, self._tables[address], cages)
                task_status.started()

    async def _accept(
        self, listener: trio.SocketListener, table: RoutingTable[_Entrance], cages: trio.Nursery
    ) -> None:
        healthy = True
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    # Out of descriptors or memory: wait for some to come back, and say so once.
                    if healthy:
                        _log.error(
                            "accept_failed", errno=errno.errorcode.get(error.errno or 0), detail=str(error)
                        )
                    healthy = False
                    await trio.sleep(_ACCEPT_PAUSE_S)
                else:
                    healthy = True
                    cages.start_soon(self._cage, stream, table)

    async def _cage(self, stream: trio.SocketStream, table: RoutingTable[_Entrance]) -> None:
        remote = remote_address(stream)
        try:
            await self._attend(stream, table, remote)
        except* trio.BrokenResourceError:
            _log.debug("handshake_dropped", remote=remote)
        except* Exception:
            # The failure boundary of a connection: whatever broke here, the others go on.
            _log.exception("connection_failed", remote=remote)
        finally:
            await trio.aclose_forcefully(stream)

    async def _attend(self, stream: trio.SocketStream, table: RoutingTable[_Entrance], remote: str) -> None:
        try:
            head = await self._read_head(stream)
            if head is None or self._draining:
                return
            admitted = _admit(head, table)
        except Rejection as rejection:
            _log.info(
                "handshake_refused", remote=remote, status=rejection.status.value, detail=rejection.detail
            )
            await self._refuse(stream, rejection)
            return
        try:
            await self._serve(stream, admitted)
        finally:
            admitted.slot.free()

    async def _read_head(self, stream: trio.SocketStream) -> Head | None:
        """Return the request head, None when the client leaves, or the gateway drains, before its end."""
        reader = HeadReader(self._limits.max_head_bytes)
        with trio.move_on_after(self._limits.handshake_timeout_s) as scope:
            self._handshakes.add(scope)
            try:
                while data := await stream.receive_some(_HEAD_READ_BYTES):
                    if head := reader.feed(data):
                        return head
            finally:
                self._handshakes.discard(scope)
        if scope.cancelled_caught and not self._draining:
            raise Rejection(408, "the request head took too long")
        return None

    async def _refuse(self, stream: trio.SocketStream, rejection: Rejection) -> None:
        with trio.move_on_after(self._limits.linger_s):
            await stream.send_all(rejection.to_bytes())
            await linger(stream, self._limits.linger_s)

    async def _serve(self, stream: trio.SocketStream, admitted: _Admitted) -> None:
        connection = Connection(stream, admitted.route.service, self._limits)
        self._connections.add(connection)
        try:
            await connection.serve(admitted.target, admitted.headers, admitted.early, admitted.slot.free)
        finally:
            self._connections.discard(connection)


def _admit(head: Head, table: RoutingTable[_Entrance]) -> _Admitted:
    """Decide without awaiting, so that the slot taken here is one no other handshake counted on."""
    target = origin_form(head)
    entrance = table.find(target)
    if entrance is None:
        raise Rejection(404, "no actor is served at this path")
    headers = websocket_headers(head)
    retry_after_s = entrance.route.service.retry_after_s
    if retry_after_s is not None:
        raise _unavailable("the actor is not available now", retry_after_s)
    slot = entrance.slots.take()
    if slot is None:
        raise _unavailable("all connections are taken", _RETRY_AFTER_S)
    return _Admitted(entrance.route, slot, target, headers, head.early)


def _unavailable(detail: str, retry_after_s: int) -> Rejection:
    return Rejection(503, detail, ("Retry-After", str(retry_after_s)))
