"""Binding the ports that the manifests name: all of them, or a report of every one that can't be bound."""

import errno
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import trio

from theater_supervisor.errors import ManifestError, Problem
from theater_supervisor.gateway.listener import bind
from theater_supervisor.gateway.routes import Address
from theater_supervisor.manifest import Manifest, WebSocketConfig

_HINTS: Final = {
    errno.EADDRINUSE: "another program listens there",
    errno.EACCES: "ports below 1024 need a privilege",
    errno.EADDRNOTAVAIL: "no network interface of this machine has this address",
}


@dataclass(frozen=True, slots=True)
class Ports:
    """What is bound: the listeners by address, and the address of each handler (actor, its number there).

    Handlers that name the same host and port share an address; port 0 gives a handler one of its own.
    """

    listeners: dict[Address, list[trio.SocketListener]] = field(default_factory=dict)
    places: dict[tuple[str, int], Address] = field(default_factory=dict)

    async def aclose(self) -> None:
        """Stop listening."""
        for listeners in self.listeners.values():
            for listener in listeners:
                await listener.aclose()


async def bind_ports(manifests: Iterable[Manifest]) -> Ports:
    """Bind and listen on each host and port once, however many handlers share it.

    Raises ManifestError naming every one that can't be bound, after closing the others.
    """
    ports = Ports()
    problems: list[Problem] = []
    refused: set[Address] = set()
    for manifest in manifests:
        for index, handler in enumerate(manifest.handlers):
            address = handler.config.host, handler.config.port
            if address in refused:
                continue
            try:
                ports.places[manifest.name, index] = await _bind_once(handler.config, ports)
            except OSError as error:
                refused.add(address)
                problems.append(_problem(manifest, index, address, error))
    if problems:
        await ports.aclose()
        raise ManifestError(problems)
    return ports


async def _bind_once(config: WebSocketConfig, ports: Ports) -> Address:
    address = config.host, config.port
    if address not in ports.listeners:
        listeners = await bind(*address)
        address = config.host, listeners[0].socket.getsockname()[1]
        ports.listeners[address] = listeners
    return address


def _problem(manifest: Manifest, index: int, address: Address, error: OSError) -> Problem:
    what = f"{address[0]} port {address[1]} can't be bound: {error.strerror}"
    return Problem(
        str(manifest.file), f"handlers[{index}].config.port", what, _HINTS.get(error.errno or 0, "")
    )
