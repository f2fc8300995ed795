"""What gateway and actor say to each other; the only thing they know of one another.

The gateway implements Client, the actor implements Service. Every call here is synchronous and returns at
once, except Service.room and Service.answered, which wait.
"""

import secrets
from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

from theater_protocol.messages import Payload, Reply

MessageKind = Literal["text", "binary", "ping", "pong"]


def new_error_id() -> str:
    """Return an id that ties what a client saw to a line of the log."""
    return secrets.token_hex(4)


class Client(Protocol):
    """A WebSocket connection as the actor sees it."""

    def send(self, *results: Sequence[Reply]) -> None:
        """Send the replies of committed results, in order. Never blocks, never raises.

        What comes in one call goes out in one write where it can. A `close` reply closes with 1000 after
        what came before it; replies after it are dropped, and so is everything once the connection is gone.
        """

    def send_in_parts(self, replies: Sequence[Reply]) -> Iterator[None]:
        """Send the replies of one committed result, as `send` does, but some of them at each step.

        For so many that the others should have their turns meanwhile.
        """

    def end(self, code: int, reason: str, error: str = "") -> None:
        """Close with `code` after what is queued. Idempotent: the first code wins.

        `error` is the id that the client is shown, and that ties it to a line of the log; without, there is
        a new one.
        """


class Service(Protocol):
    """An actor as the gateway sees it."""

    @property
    def name(self) -> str:
        """The actor's name."""

    @property
    def retry_after_s(self) -> int | None:
        """None while clients are welcome, else how long a refused one should wait."""

    def connect(self, client: Client) -> int:
        """Take on an accepted client: its `connect` event is queued. Returns its connection id."""

    def receive(self, connection: int, kind: MessageKind, payload: Payload) -> None:
        """Queue one event of this connection. Call only with room; a complete message at a time."""

    def has_room(self, connection: int, size: int) -> bool:
        """Say whether another event of this connection, with a payload of about `size`, fits."""

    async def room(self, connection: int, size: int) -> None:
        """Wait until has_room is true."""

    async def answered(self, connection: int) -> None:
        """Wait until every event of this connection is committed and its replies are sent.

        Returns as well once the actor has given the connection up.
        """

    def disconnect(self, connection: int) -> None:
        """Report that the connection is gone, exactly once, however it went: its `close` is queued."""
