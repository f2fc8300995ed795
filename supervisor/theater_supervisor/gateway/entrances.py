"""The ways in: which actor a handshake leads to, and whether there is a place for it. No sockets, no trio.

A route that is replaced by one for the same actor at the same place keeps its places, so that clients that
are there already count against the new bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from theater_supervisor.gateway.admission import Slot, Slots
from theater_supervisor.gateway.handshake import Head, Headers, Rejection, origin_form, websocket_headers
from theater_supervisor.gateway.routes import Address, Route, RoutingTable

_RETRY_AFTER_S: Final = 5


@dataclass(frozen=True, slots=True)
class _Entrance:
    route: Route
    slots: Slots


@dataclass(frozen=True, slots=True)
class Admitted:
    """A handshake that passed, and the place that it holds."""

    route: Route
    slot: Slot
    target: str
    headers: Headers
    early: bytes


class Entrances:
    """Every route by address and path. Raises ValueError when two routes share both."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._entrances: list[_Entrance] = []
        self._tables: dict[Address, RoutingTable[_Entrance]] = {}
        self.change(routes)

    @property
    def addresses(self) -> frozenset[Address]:
        """The addresses that routes are at."""
        return frozenset(self._tables)

    def change(self, routes: Sequence[Route]) -> None:
        """Put these routes in the place of the others. Raises ValueError, with nothing changed."""
        entrances = [_Entrance(route, self._slots(route)) for route in routes]
        tables = {
            address: RoutingTable(
                (entrance.route.path, entrance) for entrance in entrances if entrance.route.address == address
            )
            for address in {route.address for route in routes}
        }
        self._entrances, self._tables = entrances, tables
        for entrance in entrances:
            entrance.slots.limit = entrance.route.max_connections

    def admit(self, address: Address, head: Head) -> Admitted:
        """Give a handshake a place. Raises Rejection when it is no handshake or there is none for it.

        Nothing is awaited from here to the place taken, so that it is one no other handshake counted on.
        """
        target = origin_form(head)
        table = self._tables.get(address)
        entrance = table.find(target) if table is not None else None
        if entrance is None:
            raise Rejection(404, "no actor is served at this path")
        headers = websocket_headers(head)
        retry_after_s = entrance.route.service.retry_after_s
        if retry_after_s is not None:
            raise _unavailable("the actor is not available now", retry_after_s)
        slot = entrance.slots.take()
        if slot is None:
            raise _unavailable("all connections are taken", _RETRY_AFTER_S)
        return Admitted(entrance.route, slot, target, headers, head.early)

    def _slots(self, route: Route) -> Slots:
        for entrance in self._entrances:
            standing = entrance.route
            if (standing.address, standing.path) == (route.address, route.path) and (
                standing.service is route.service
            ):
                return entrance.slots
        return Slots(route.max_connections)


def _unavailable(detail: str, retry_after_s: int) -> Rejection:
    return Rejection(503, detail, ("Retry-After", str(retry_after_s)))
