"""An actor's clients, and which of them wait until another of their events fits.

What is sent to them and when they are closed is decided in actor.py.
"""

import itertools
from collections.abc import Callable

import trio

from theater_supervisor.exchange import Client


class Clients:
    """The open connections of an actor by their ids. One that is not here has been given up, or is gone."""

    def __init__(self) -> None:
        self._clients: dict[int, Client] = {}
        self._waiting: dict[int, trio.Event] = {}

    def __contains__(self, connection: int) -> bool:
        return connection in self._clients

    def __len__(self) -> int:
        return len(self._clients)

    def add(self, connection: int, client: Client) -> None:
        """Take on a client."""
        self._clients[connection] = client

    def get(self, connection: int) -> Client | None:
        """Return the client of a connection that is still here."""
        return self._clients.get(connection)

    def remove(self, connection: int) -> bool:
        """Forget a connection; False when it was not here. Whoever waits for room in its name goes on."""
        if (waiter := self._waiting.pop(connection, None)) is not None:
            waiter.set()
        return self._clients.pop(connection, None) is not None

    def end_all(self, code: int, reason: str) -> list[int]:
        """Close and forget every client; return their ids. Nobody waits for room any more."""
        ended, self._clients = self._clients, {}
        for client in ended.values():
            client.end(code, reason)
        self.wake(len(self._waiting))
        return list(ended)

    async def wait(self, connection: int, has_room: Callable[[], bool]) -> None:
        """Wait until `has_room` is true; it is asked again at every wake of the connection."""
        while not has_room():
            await self._waiting.setdefault(connection, trio.Event()).wait()

    def wake(self, count: int | None = None) -> None:
        """Let the `count` that have waited longest ask again; all without a count."""
        for connection in list(itertools.islice(self._waiting, count)):
            self._waiting.pop(connection).set()
