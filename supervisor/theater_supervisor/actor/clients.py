"""An actor's clients, and which of them wait until another of their events fits, or until all are answered.

What is sent to them and when they are closed is decided in actor.py.
"""

import itertools
from collections.abc import Callable, Iterable

import trio

from theater_supervisor.exchange import Client


class Clients:
    """The open connections of an actor by their ids. One that is not here has been given up, or is gone."""

    def __init__(self) -> None:
        self._clients: dict[int, Client] = {}
        self._waiting: dict[int, trio.Event] = {}
        self._leaving: dict[int, trio.Event] = {}

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
        """Forget a connection; False when it was not here. Whoever waits in its name goes on."""
        for waiting in (self._waiting, self._leaving):
            if (waiter := waiting.pop(connection, None)) is not None:
                waiter.set()
        return self._clients.pop(connection, None) is not None

    def end_all(self, code: int, reason: str) -> list[int]:
        """Close and forget every client; return their ids. Nobody waits any more."""
        ended, self._clients = self._clients, {}
        for client in ended.values():
            client.end(code, reason)
        self.wake(len(self._waiting))
        self.settled(tuple(self._leaving))
        return list(ended)

    async def wait(self, connection: int, has_room: Callable[[], bool]) -> None:
        """Wait until `has_room` is true; it is asked again at every wake of the connection."""
        while not has_room():
            await self._waiting.setdefault(connection, trio.Event()).wait()

    async def leave(self, connection: int, is_answered: Callable[[], bool]) -> None:
        """Wait until `is_answered` is true; it is asked again at `settled`."""
        while not is_answered():
            await self._leaving.setdefault(connection, trio.Event()).wait()

    def settled(self, connections: Iterable[int]) -> None:
        """Let these ask again whether they are answered, those of them that leave."""
        if self._leaving:
            for connection in connections:
                if (waiter := self._leaving.pop(connection, None)) is not None:
                    waiter.set()

    def wake(self, count: int | None = None) -> None:
        """Let the `count` that have waited longest ask again; all without a count."""
        if not self._waiting:
            return
        for connection in list(itertools.islice(self._waiting, count)):
            self._waiting.pop(connection).set()
