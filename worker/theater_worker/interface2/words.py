"""Events and effects of the protocol, and the plain values that stand for them at the boundary.

Values only; the names are those of wit/v2/theater.wit. What a component makes of them is values.py's.
"""

from collections.abc import Iterable
from typing import Any

from theater_protocol.interface2.effects import (
    EVERYONE,
    Accept,
    Attach,
    CancelTimer,
    Close,
    Effect,
    Join,
    Leave,
    Refuse,
    Send,
    SetTimer,
    Target,
    ToConnection,
    ToConnections,
    ToRoom,
)
from theater_protocol.interface2.events import Configure, Connect, Disconnect, Event, Message, Timer

Plain = Any


def plain_event(event: Event, attachment: str) -> tuple[str, Plain]:
    """Return an event's case and payload; `attachment` is its connection's, "" where it has none."""
    match event:
        case Configure(actor, key, config):
            return "configure", {"actor": actor, "key": key, "config": list(config)}
        case Connect(connection, handshake):
            fields = handshake._asdict() | {
                "headers": list(handshake.headers),
                "subprotocols": list(handshake.subprotocols),
                "identity": handshake.identity and handshake.identity._asdict(),
            }
            return "connect", (connection, fields)
        case Message(connection, frame):
            case = "text" if isinstance(frame, str) else "binary"
            return "message", (connection, attachment, (case, frame))
        case Disconnect(connection, ending):
            return "disconnect", (connection, attachment, ending._asdict())
        case Timer(name, due_us):
            return "timer", (name, due_us)


def read_effects(plain: Iterable[tuple[str, Plain]]) -> tuple[Effect, ...]:
    """Return the effects that plain values stand for."""
    return tuple(_read_effect(case, payload) for case, payload in plain)


def _read_effect(case: str, payload: Plain) -> Effect:
    match case:
        case "accept":
            return Accept(payload["subprotocol"])
        case "refuse":
            return Refuse(payload["status"], payload["body"])
        case "send":
            _, frame = payload["frame"]
            return Send(_read_target(payload["to"]), frame, tuple(payload["without"]), payload["volatile"])
        case "close":
            to, code, reason = payload
            return Close(_read_target(to), code, reason)
        case "join":
            return Join(*payload)
        case "leave":
            return Leave(*payload)
        case "attach":
            return Attach(*payload)
        case "set-timer":
            return SetTimer(payload["name"], payload["at"], payload["every"])
        case _:
            return CancelTimer(payload)


def _read_target(plain: tuple[str, Plain]) -> Target:
    match plain:
        case "connection", connection:
            return ToConnection(connection)
        case "connections", connections:
            return ToConnections(tuple(connections))
        case "room", room:
            return ToRoom(room)
        case _:
            return EVERYONE
