"""Binding the ports that the manifests name, secrets read: all of them, or a report of what is wrong.

Nobody can connect to what is bound before it is listened on, which is for when somebody serves.
"""

import errno
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from theater_supervisor.descriptors import allow, left_for_clients, needed
from theater_supervisor.errors import ManifestError, Problem, SupervisorError
from theater_supervisor.gateway.door.accepting import bind, close, listen
from theater_supervisor.gateway.door.routes import Address
from theater_supervisor.handlers import Place, Secrets, read_secrets
from theater_supervisor.manifest.model import Manifest
from theater_supervisor.manifest.websocket import WebSocketConfig

_HINTS: Final = {
    errno.EADDRINUSE: "another program listens there",
    errno.EACCES: "ports below 1024 need a privilege",
    errno.EADDRNOTAVAIL: "no network interface of this machine has this address",
}
_OWN_PORT_HINT: Final = "this supervisor has that port on another address: give that one up by a reload first"


class PortTaken(SupervisorError):
    """Another program took a port between its being bound here and its being served."""

    exit_status = 78  # EX_CONFIG, as for one that is taken from the first


@dataclass(frozen=True, slots=True)
class Ports:
    """The address of each handler, and the sockets of those addresses that were bound for it.

    `secrets` is what the handlers' logins and TLS need, `max_sockets` how many descriptors clients may have.
    Handlers that name the same host and port share an address; port 0 gives a handler one of its own.
    """

    listeners: dict[Address, list[socket.socket]] = field(default_factory=dict)
    places: dict[Place, Address] = field(default_factory=dict)
    secrets: Secrets = field(default_factory=Secrets)
    max_sockets: int | None = None

    def tls(self) -> dict[Address, ssl.SSLContext]:
        """Return the TLS of the addresses that have it; handlers that share one have the same."""
        return {self.places[place]: tls for place, tls in self.secrets.tls.items()}

    def listen(self) -> None:
        """Let clients connect. Raises PortTaken, for another program may have been quicker."""
        for address, bound in self.listeners.items():
            try:
                listen(bound)
            except OSError as error:
                raise PortTaken(
                    f"{_unbindable(address, error)}: another program listens there now"
                ) from error

    def close(self) -> None:
        """Give the addresses up."""
        for bound in self.listeners.values():
            close(bound)


@dataclass(frozen=True, slots=True)
class Bound:
    """What is bound already: every address, and which of them a handler with port 0 has."""

    addresses: frozenset[Address] = frozenset()
    given: Mapping[Place, Address] = field(default_factory=dict)

    @classmethod
    def by(cls, manifests: Iterable[Manifest], places: Mapping[Place, Address]) -> "Bound":
        """Say what the handlers of these manifests have."""
        given = {
            (manifest.name, index): places[manifest.name, index]
            for manifest in manifests
            for index, handler in enumerate(manifest.handlers)
            if handler.config.port == 0
        }
        return cls(frozenset(places.values()), given)


def bind_ports(manifests: Iterable[Manifest], bound: Bound | None = None) -> Ports:
    """Bind each host and port once, however many handlers share it.

    What is `bound` already is used again and is not among the listeners. Raises ManifestError naming every
    one that can't be bound, and every secret that can't be used, after closing the others; TooFewDescriptors.
    """
    bound = bound or Bound()
    manifests = list(manifests)
    allowed = allow(needed(manifests))
    secrets, problems = read_secrets(manifests)
    ports = Ports(secrets=secrets, max_sockets=left_for_clients(allowed, manifests))
    refused: set[Address] = set()
    for manifest in manifests:
        for index, handler in enumerate(manifest.handlers):
            address = handler.config.host, handler.config.port
            if address in refused:
                continue
            place = manifest.name, index
            try:
                ports.places[place] = _bind_once(handler.config, ports, bound, place)
            except OSError as error:
                refused.add(address)
                problems.append(_problem(manifest, index, address, error, bound))
    if problems:
        ports.close()
        raise ManifestError(problems)
    return ports


def _bind_once(config: WebSocketConfig, ports: Ports, bound: Bound, place: Place) -> Address:
    address = config.host, config.port
    given = bound.given.get(place)
    if config.port == 0 and given is not None and given[0] == config.host:
        return given
    if address not in ports.listeners and address not in bound.addresses:
        listeners = bind(*address)
        address = config.host, listeners[0].getsockname()[1]
        ports.listeners[address] = listeners
    return address


def _problem(manifest: Manifest, index: int, address: Address, error: OSError, bound: Bound) -> Problem:
    what = _unbindable(address, error)
    hint = _HINTS.get(error.errno or 0, "")
    if error.errno == errno.EADDRINUSE and address[1] in {port for _, port in bound.addresses}:
        hint = _OWN_PORT_HINT
    return Problem(str(manifest.file), f"handlers[{index}].config.port", what, hint)


def _unbindable(address: Address, error: OSError) -> str:
    return f"{address[0]} port {address[1]} can't be bound: {error.strerror}"
