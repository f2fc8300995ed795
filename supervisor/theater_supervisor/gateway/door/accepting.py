"""Listening sockets: bound, listened on, and accepted from while there is room. What comes in is for others.

Binding comes first and listening when somebody serves: a port that is taken is known at once, and nobody is
let into a queue that isn't served yet.
"""

import errno
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import trio

from theater_supervisor.gateway.connection.turns import Turns
from theater_supervisor.gateway.door.routes import Address
from theater_supervisor.logs.peer_log import PeerLog

_BACKLOG: Final = 0xFFFF  # the kernel has a bound of its own, net.core.somaxconn
_AT_ONCE: Final = 4
_ACCEPT_PAUSE_S: Final = 0.1
# accept(2): what has become of the client, or of the network on its way, before it was accepted.
_CLIENT_GONE: Final = frozenset(
    {
        errno.ECONNABORTED,
        errno.EPERM,  # a firewall's word
        errno.EPROTO,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EOPNOTSUPP,
        errno.ENOPROTOOPT,
    }
)


def bind(host: str, port: int) -> list[socket.socket]:
    """Bind `host`, an IP address; port 0 takes a free one. Nobody can connect before `listen`.

    Raises OSError: its errno says why (EADDRINUSE, EACCES, …), and what was bound before is closed again.
    """
    bound: list[socket.socket] = []
    flags = socket.AI_PASSIVE | socket.AI_NUMERICHOST
    try:
        for family, *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags):
            bound.append(socket.socket(family, socket.SOCK_STREAM))
            _bind(bound[-1], address)
    except BaseException:
        close(bound)
        raise
    return bound


def listen(bound: Iterable[socket.socket]) -> None:
    """Let clients connect. Raises OSError: EADDRINUSE where another program has come to listen there."""
    for each in bound:
        # The connections have it from here: those of a supervisor that has ended keep the next from nothing.
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        each.listen(_BACKLOG)


def close(bound: Iterable[socket.socket]) -> None:
    """Give the addresses up."""
    for each in bound:
        each.close()


class Sockets:
    """How many sockets clients have, `held` of at most `limit`: the rest is for what serves them."""

    def __init__(self, limit: int | None = None) -> None:
        self.held = 0
        self._limit = limit
        self._room = trio.Event()

    @property
    def is_full(self) -> bool:
        """Say whether nobody can be accepted."""
        return self._limit is not None and self.held >= self._limit

    def allow(self, limit: int | None) -> None:
        """Change the bound; None is none."""
        self._limit = limit
        self._room.set()

    def take(self) -> None:
        """Count one that was accepted."""
        self.held += 1

    def free(self) -> None:
        """Count one that is closed."""
        self.held -= 1
        self._room.set()

    async def room(self) -> None:
        """Wait until there is room for one more."""
        while self.is_full:
            self._room = trio.Event()
            await self._room.wait()


async def keep_accepting(
    listener: socket.socket,
    sockets: Sockets,
    turns: Turns,
    take: Callable[[socket.socket, Address], None],
    log: PeerLog,
) -> None:
    """Accept until cancelled; hand each client's socket and address to `take`, which counts it in `sockets`.

    A few at a time, in turns with the other work that takes as long.
    """
    healthy = True
    while True:
        await sockets.room()
        await turns.next()
        try:
            for _ in range(_AT_ONCE):
                if not sockets.is_full:
                    client, address = listener.accept()
                    take(client, address[:2])
            healthy = True
        except BlockingIOError:
            healthy = True
            await trio.lowlevel.wait_readable(listener)
        except OSError as error:
            if error.errno in _CLIENT_GONE:
                continue
            # Out of descriptors or memory: wait for some to come back, and say so once.
            if healthy:
                log.error("accept_failed", errno=errno.errorcode.get(error.errno or 0), detail=str(error))
            healthy = False
            await trio.sleep(_ACCEPT_PAUSE_S)


def _bind(unbound: socket.socket, address: Sequence[object]) -> None:
    unbound.setblocking(False)
    if unbound.family == socket.AF_INET6:
        unbound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        unbound.bind(tuple(address))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        # Perhaps by connections that are over. Not before, for with it two programs can have the same port
        # until one of them listens.
        unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        unbound.bind(tuple(address))
