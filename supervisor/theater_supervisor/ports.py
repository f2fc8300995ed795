"""Binding the ports that the manifests name: all of them, or a report of every one that can't be bound."""

import errno
from collections.abc import Iterable
from typing import Final

import trio

from theater_supervisor.errors import ManifestError, Problem
from theater_supervisor.gateway.listener import Address, bind
from theater_supervisor.manifest import Manifest

_HINTS: Final = {
    errno.EADDRINUSE: "another program listens there",
    errno.EACCES: "ports below 1024 need a privilege",
    errno.EADDRNOTAVAIL: "no network interface of this machine has this address",
}


async def bind_ports(manifests: Iterable[Manifest]) -> dict[Address, list[trio.SocketListener]]:
    """Bind and listen on each host and port once, however many handlers share it.

    Returns the listeners by (host, port) as the manifests have them. Raises ManifestError naming every one
    that can't be bound, after closing the others.
    """
    bound: dict[Address, list[trio.SocketListener]] = {}
    problems: list[Problem] = []
    for address, (file, key) in _first_users(manifests).items():
        try:
            bound[address] = await bind(*address)
        except OSError as error:
            what = f"{address[0]} port {address[1]} can't be bound: {error.strerror}"
            problems.append(Problem(file, key, what, _HINTS.get(error.errno or 0, "")))
    if problems:
        await close_ports(bound)
        raise ManifestError(problems)
    return bound


async def close_ports(bound: dict[Address, list[trio.SocketListener]]) -> None:
    """Stop listening."""
    for listeners in bound.values():
        for listener in listeners:
            await listener.aclose()


def _first_users(manifests: Iterable[Manifest]) -> dict[Address, tuple[str, str]]:
    """Say for each address which file and key is to blame when it can't be bound."""
    users: dict[Address, tuple[str, str]] = {}
    for manifest in manifests:
        for index, handler in enumerate(manifest.handlers):
            address = handler.config.host, handler.config.port
            users.setdefault(address, (str(manifest.file), f"handlers[{index}].config.port"))
    return users
