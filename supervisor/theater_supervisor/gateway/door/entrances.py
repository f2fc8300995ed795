"""The ways in: where a handshake leads, whether its page and login may, and its place. No sockets, no trio.

What a head must look like is `handshake`'s, the rules of a handler are `access`'s and `auth`'s.

A route that is replaced by one for the same actor at the same place keeps its places, so that clients that
are there already count against the new bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from theater_supervisor.gateway.connection.admitted import Admitted
from theater_supervisor.gateway.connection.deflate import Agreement, agree
from theater_supervisor.gateway.door.access import (
    choose_subprotocol,
    client_key,
    is_loopback_name,
    is_trusted,
    subprotocols_of,
)
from theater_supervisor.gateway.door.admission import AddressCounts, Slot, Slots
from theater_supervisor.gateway.door.auth import answer_to_bearer
from theater_supervisor.gateway.door.handshake import (
    Head,
    Rejection,
    hosts_of,
    origin_form,
    websocket_key,
)
from theater_supervisor.gateway.door.routes import Address, Route, RoutingTable

_RETRY_AFTER_S: Final = 5


@dataclass(frozen=True, slots=True)
class _Entrance:
    route: Route
    slots: Slots
    by_address: AddressCounts


@dataclass(slots=True)
class Place:
    """What an admitted client occupies, at which route. Free it once the client is gone.

    `address` is the client's, as far as trusted proxies tell; `named_by` is what one of them told in its
    place. Freeing it twice does nothing.
    """

    route: Route
    address: str
    named_by: str | None
    slot: Slot
    by_address: AddressCounts
    _is_taken: bool = field(default=True)

    def free(self) -> None:
        """Give the place back."""
        if self._is_taken:
            self._is_taken = False
            self.slot.free()
            self.by_address.free(client_key(self.address))


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
        entrances = [_Entrance(route, *self._places(route)) for route in routes]
        tables = {
            address: RoutingTable(
                (entrance.route.path, entrance) for entrance in entrances if entrance.route.address == address
            )
            for address in {route.address for route in routes}
        }
        self._entrances, self._tables = entrances, tables
        for entrance in entrances:
            entrance.slots.limit = entrance.route.max_connections

    def counted_as(self, address: Address, peer_address: str) -> str | None:
        """Return what a peer's handshakes are counted by; None for this machine and for a route's proxy."""
        if is_loopback_name(peer_address) or any(
            is_trusted(peer_address, entrance.route.access.trusted_proxies)
            for entrance in self._entrances
            if entrance.route.address == address
        ):
            return None
        return client_key(peer_address)

    def admit(self, address: Address, head: Head, peer_address: str) -> tuple[Admitted, Place]:
        """Return what is agreed with a client, and its place.

        Raises Rejection when it is no handshake, may not come in, or there is no place for it. Nothing is
        awaited from here to the place taken, so that it is one no other handshake counted on.
        """
        target = origin_form(head)
        table = self._tables.get(address)
        entrance = table.find(target) if table is not None else None
        if entrance is None:
            raise Rejection(404, "no actor is served at this path")
        key = websocket_key(head)
        access = entrance.route.access
        (host,) = hosts_of(head)
        access.check_host(host)
        access.check_origin(head, host)
        offered = subprotocols_of(head)
        login = access.auth.check(head, target, offered)
        place = _take_place(entrance, *access.client_address(peer_address, head))
        subprotocol = choose_subprotocol(offered, access.subprotocols)
        if subprotocol is None and access.auth.is_needed:
            subprotocol = answer_to_bearer(offered)
        agreed = _agreed(head) if access.compression else None
        return Admitted(key, head.early, subprotocol, agreed, login.expires_in_s), place

    def _places(self, route: Route) -> tuple[Slots, AddressCounts]:
        for entrance in self._entrances:
            standing = entrance.route
            if (standing.address, standing.path) == (route.address, route.path) and (
                standing.service is route.service
            ):
                return entrance.slots, entrance.by_address
        return Slots(route.max_connections), AddressCounts()


def _agreed(head: Head) -> Agreement | None:
    return agree(value.decode("latin-1") for value in head.values(b"sec-websocket-extensions"))


def _take_place(entrance: _Entrance, address: str, named_by: str | None) -> Place:
    retry_after_s = entrance.route.service.retry_after_s
    if retry_after_s is not None:
        raise _unavailable(503, "the actor is not available now", retry_after_s)
    counted_as, bound = client_key(address), entrance.route.access.bound_for(address)
    if not entrance.by_address.take(counted_as, bound):
        raise _unavailable(429, "too many connections from this address", _RETRY_AFTER_S)
    slot = entrance.slots.take()
    if slot is None:
        entrance.by_address.free(counted_as)
        raise _unavailable(503, "all connections are taken", _RETRY_AFTER_S)
    return Place(entrance.route, address, named_by, slot, entrance.by_address)


def _unavailable(status: int, detail: str, retry_after_s: int) -> Rejection:
    return Rejection(status, detail, ("Retry-After", str(retry_after_s)))
