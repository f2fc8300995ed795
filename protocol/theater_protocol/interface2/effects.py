"""The effects of interface 2: what an actor asks for, all of one event's or none.

Records only, as wit/v2/theater.wit has them. What they change is ledger.py's, their bytes are body.py's.
"""

from typing import NamedTuple

from theater_protocol.interface2.events import Frame


class ToConnection(NamedTuple):
    """One connection."""

    connection: int


class ToConnections(NamedTuple):
    """Several connections."""

    connections: tuple[int, ...]


class ToRoom(NamedTuple):
    """Whoever is in a room."""

    room: str


class ToEveryone(NamedTuple):
    """Every open connection."""


Target = ToConnection | ToConnections | ToRoom | ToEveryone
EVERYONE = ToEveryone()


class Accept(NamedTuple):
    """Accept the handshake, with one of the offered subprotocols or none. Only in answer to a connect."""

    subprotocol: str | None = None


class Refuse(NamedTuple):
    """Answer the handshake with this HTTP status and body instead. Only in answer to a connect."""

    status: int
    body: str


class Send(NamedTuple):
    """Send a frame. `volatile` passes over a recipient that still has something waiting."""

    to: Target
    frame: Frame
    without: tuple[int, ...] = ()
    volatile: bool = False


class Close(NamedTuple):
    """Close with a code, 1000 or 3000 to 4999, after what was sent before."""

    to: Target
    code: int
    reason: str


class Join(NamedTuple):
    """Let a connection into a room."""

    connection: int
    room: str


class Leave(NamedTuple):
    """Take a connection out of a room."""

    connection: int
    room: str


class Attach(NamedTuple):
    """Keep this text for a connection; it comes with each of its events."""

    connection: int
    attachment: str


class SetTimer(NamedTuple):
    """Set the timer of that name, in place of an earlier one. `every_us` arms it again and again."""

    name: str
    at_us: int
    every_us: int | None = None


class CancelTimer(NamedTuple):
    """Forget the timer of that name."""

    name: str


Effect = Accept | Refuse | Send | Close | Join | Leave | Attach | SetTimer | CancelTimer
