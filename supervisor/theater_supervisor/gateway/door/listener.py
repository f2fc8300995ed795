"""Listening sockets, and a cage around every connection that comes in by them.

A connection is accepted, its handshake read and judged, a slot of its route taken, and then it is served; all
of that in one task, whose failure ends that connection and nothing else. What a handshake must look like is
`handshake`'s, what happens on an open connection is `connection`'s.
"""

import socket
import ssl
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import trio

from theater_supervisor.gateway.connection.connection import Connection
from theater_supervisor.gateway.connection.inbox import ReceiveBudget
from theater_supervisor.gateway.connection.limits import (
    RECEIVE_BUDGET_BYTES,
    RECEIVE_BUDGET_MESSAGES,
    SEND_BUDGET_BYTES,
    SEND_BUDGET_REPLIES,
)
from theater_supervisor.gateway.connection.outbound import SendBudget
from theater_supervisor.gateway.connection.stream import Stream, shown
from theater_supervisor.gateway.connection.tidying import Tidying
from theater_supervisor.gateway.connection.traffic import Traffic
from theater_supervisor.gateway.connection.turns import Turns
from theater_supervisor.gateway.door.accepting import Sockets, close, keep_accepting
from theater_supervisor.gateway.door.attendant import Attendant, Visitor
from theater_supervisor.gateway.door.entrances import Entrances
from theater_supervisor.gateway.door.limits import HandshakeLimits
from theater_supervisor.gateway.door.routes import Address, Route
from theater_supervisor.logs.peer_log import PeerLog, PeerLogRates

_POLL_S: Final = 0.01


class Gateway:
    """The way in for clients: serves every route on its listeners, with TLS at the addresses in `tls`.

    `send_budget_bytes` is what may wait to be sent to all clients together, at least two of the largest
    replies; `receive_budget_bytes` what may be read of them and wait for more of a message or for room, at
    least four of the largest messages; `max_sockets` how many sockets they have. Raises ValueError where two
    routes share address and path.
    """

    _acceptors: trio.Nursery
    _cage_nursery: trio.Nursery

    def __init__(
        self,
        routes: Sequence[Route],
        limits: HandshakeLimits | None = None,
        *,
        tls: Mapping[Address, ssl.SSLContext] | None = None,
        send_budget_bytes: int = SEND_BUDGET_BYTES,
        receive_budget_bytes: int = RECEIVE_BUDGET_BYTES,
        max_sockets: int | None = None,
    ) -> None:
        self._routes = tuple(routes)
        self._tls = dict(tls or {})
        self._send_budget_bytes = send_budget_bytes
        self._send_budget = SendBudget(self._sent_at_most())
        self._receive_budget_bytes = receive_budget_bytes
        self._receive_budget = ReceiveBudget(self._received_at_most())
        self._entrances = Entrances(routes)
        self._addresses: dict[Address, list[Address]] = {}
        self._connections: set[Connection] = set()
        self._past_traffic: dict[str, Traffic] = {}
        self._tidying = Tidying(self._send_budget, self._receive_budget)
        self._turns = Turns()
        self._sockets = Sockets(max_sockets)
        self._log_rates = PeerLogRates()
        self._log = PeerLog(self._log_rates)
        self._attendant = Attendant(self._entrances, limits or HandshakeLimits(), self._turns, self._log)
        self._draining = False
        self._accepting = trio.CancelScope()
        self._accepting_at: dict[Address, list[trio.CancelScope]] = {}
        self._cages = trio.CancelScope()
        self._ended: trio.Event | None = None

    def addresses(self) -> Mapping[Address, Sequence[Address]]:
        """Return what is listening: for each (host, port) of the routes, the addresses that are bound."""
        return self._addresses

    @property
    def handshakes(self) -> Counter[int]:
        """What became of handshakes, by HTTP status."""
        return self._attendant.handshakes

    @property
    def connections(self) -> Collection[Connection]:
        """The WebSocket connections that are open."""
        return self._connections

    @property
    def sockets(self) -> int:
        """How many sockets clients have: for handshakes, for connections, and on their way out."""
        return self._sockets.held

    def traffic(self) -> dict[str, Traffic]:
        """Add up what every actor's connections have carried so far, open ones included."""
        totals = self._past_traffic.copy()
        for connection in self._connections:
            totals[connection.actor] = totals.get(connection.actor, Traffic()) + connection.traffic
        return totals

    async def serve(
        self,
        listeners: Mapping[Address, Sequence[socket.socket]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept and serve clients until cancelled or drained; then every connection is gone.

        `listeners` has for each address of the routes what is bound and listened on; it is closed at the
        end. Raises ValueError when the addresses differ.
        """
        _check_addresses(self._entrances.addresses, listeners.keys())
        self._ended = trio.Event()
        try:
            with self._cages:
                async with trio.open_nursery() as cages:
                    await self._accept_all(listeners, cages, task_status)
        finally:
            self._ended.set()

    def change(
        self,
        routes: Sequence[Route],
        listeners: Mapping[Address, Sequence[socket.socket]],
        tls: Mapping[Address, ssl.SSLContext] | None = None,
        *,
        max_sockets: int | None = None,
    ) -> None:
        """Serve these routes from now on, while `serve` runs; open connections stay as they are.

        `listeners` has those of the addresses that are new; addresses without a route are
        given up. Clients of a route that is there again count against its places as before. `tls` is for the
        handshakes to come. Raises ValueError as the constructor and `serve` do, with nothing changed.
        """
        wanted, standing = {route.address for route in routes}, self._accepting_at.keys()
        _check_addresses(wanted - standing, listeners.keys())
        self._entrances.change(routes)
        self._sockets.allow(max_sockets)
        self._routes, self._tls = tuple(routes), dict(tls or {})
        self._send_budget.max_bytes = self._sent_at_most()
        self._receive_budget.max_bytes = self._received_at_most()
        for address in standing - wanted:
            for scope in self._accepting_at.pop(address):
                scope.cancel()
            del self._addresses[address]
        self._listen(listeners)

    def refuse_newcomers(self) -> None:
        """Stop accepting, and drop the handshakes under way."""
        self._draining = True
        self._accepting.cancel()
        self._tidying.cancel()
        self._attendant.close()

    def hush(self) -> None:
        """Take no more messages from the clients that are there; control frames are answered still."""
        for connection in self._connections:
            connection.hush()

    async def dismiss(
        self, actors: Collection[str], reason: str, code: int = 1001, grace_s: float = 5
    ) -> None:
        """Close these actors' connections with `code`; return when they are gone, or after `grace_s`."""
        leaving = {connection for connection in self._connections if connection.actor in actors}
        for connection in leaving:
            connection.end(code, reason)
        with trio.move_on_after(grace_s):
            while leaving & self._connections:  # noqa: ASYNC110
                await trio.sleep(_POLL_S)

    async def drain(self, code: int = 1001, grace_s: float = 5) -> None:
        """Stop accepting, close every connection with `code`, and drop what is left after `grace_s`.

        `serve` returns then. Handshakes under way are dropped at once.
        """
        self.refuse_newcomers()
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
        listeners: Mapping[Address, Sequence[socket.socket]],
        cages: trio.Nursery,
        task_status: trio.TaskStatus[None],
    ) -> None:
        with self._accepting:
            async with trio.open_nursery() as self._acceptors:
                self._cage_nursery = cages
                self._acceptors.start_soon(self._log_rates.keep_reporting)
                self._listen(listeners)
                task_status.started()
                # Addresses come and go; accepting ends with the gateway.
                await trio.sleep_forever()

    def _sent_at_most(self) -> int:
        largest = max((route.limits.max_reply_bytes for route in self._routes), default=0)
        return max(self._send_budget_bytes, SEND_BUDGET_REPLIES * largest)

    def _received_at_most(self) -> int:
        largest = max((route.limits.max_message_bytes for route in self._routes), default=0)
        return max(self._receive_budget_bytes, RECEIVE_BUDGET_MESSAGES * largest)

    def _listen(self, listeners: Mapping[Address, Sequence[socket.socket]]) -> None:
        for address, bound in listeners.items():
            self._addresses[address] = [listener.getsockname()[:2] for listener in bound]
            scopes = self._accepting_at[address] = [trio.CancelScope() for _ in bound]
            for listener, scope in zip(bound, scopes, strict=True):
                self._acceptors.start_soon(self._accept, listener, address, scope)

    async def _accept(self, listener: socket.socket, address: Address, scope: trio.CancelScope) -> None:
        def take(client: socket.socket, came_from: Address) -> None:
            self._sockets.take()
            self._cage_nursery.start_soon(self._cage, client, address, came_from)

        with scope:
            try:
                await keep_accepting(listener, self._sockets, self._turns, take, self._log)
            finally:
                close([listener])

    async def _cage(self, client: socket.socket, address: Address, came_from: Address) -> None:
        try:
            with client:
                await self._attend(client, address, came_from)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            self._log.debug("handshake_dropped", remote=shown(came_from))
        except* Exception:
            # The failure boundary of a connection: whatever broke here, the others go on.
            self._log.exception("connection_failed", remote=shown(came_from))
        finally:
            self._sockets.free()

    async def _attend(self, client: socket.socket, address: Address, came_from: Address) -> None:
        tcp = trio.SocketStream(trio.socket.from_stdlib_socket(client))
        try:
            stream = self._encrypted(tcp, address)
            visitor = await self._attendant.attend(stream, address, came_from)
            if visitor is not None:
                await self._serve(stream, visitor)
        finally:
            tcp.socket.close()

    def _encrypted(self, tcp: trio.SocketStream, address: Address) -> Stream:
        tls = self._tls.get(address)
        if tls is None:
            return tcp
        return trio.SSLStream(tcp, tls, server_side=True, https_compatible=True)

    async def _serve(self, stream: Stream, visitor: Visitor) -> None:
        place = visitor.place
        connection = Connection(
            stream,
            place.route.service,
            place.route.limits,
            self._send_budget,
            self._receive_budget,
            self._turns,
            visitor.remote,
            self._log,
        )

        def on_gone() -> None:
            place.free()
            self._attendant.see_out(connection.scope)

        self._connections.add(connection)
        self._tidying.note(len(self._connections))
        try:
            await connection.serve(visitor.admitted, on_gone)
        finally:
            place.free()
            self._attendant.lingering.remove(connection.scope)
            self._connections.discard(connection)
            past = self._past_traffic.get(connection.actor, Traffic())
            self._past_traffic[connection.actor] = past + connection.traffic
            if self._tidying.is_due(len(self._connections)) and not self._draining:
                self._cage_nursery.start_soon(self._tidying.run)


def _check_addresses(routed: Collection[Address], bound: Collection[Address]) -> None:
    if set(routed) != set(bound):
        raise ValueError(f"routes for {sorted(routed)}, but listeners for {sorted(bound)}")
