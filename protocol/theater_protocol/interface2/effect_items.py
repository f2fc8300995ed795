"""Effects as CBOR items, in both directions.

A frame that is the input's own is written as true, and in no other way: what was said is in the chain once.
"""

from theater_protocol.errors import RemoteProtocolError
from theater_protocol.fields import broken, read_count, read_list, read_optional_text, read_text
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
    ToEveryone,
    ToRoom,
)
from theater_protocol.interface2.events import Frame


def _target_item(to: Target) -> list[object]:
    match to:
        case ToConnection(connection):
            return [0, connection]
        case ToConnections(connections):
            return [1, [*connections]]
        case ToRoom(room):
            return [2, room]
        case ToEveryone():
            return [3]


def effect_item(effect: Effect, own: Frame | None) -> list[object]:
    """Return an effect's item. `own` is the input's frame, None where it has none."""
    match effect:
        case Accept(subprotocol):
            return ["accept", subprotocol]
        case Refuse(status, body):
            return ["refuse", status, body]
        case Send(to, frame, without, volatile):
            said = True if _same(frame, own) else frame
            return ["send", _target_item(to), [*without], said, volatile]
        case Close(to, code, reason):
            return ["close", _target_item(to), code, reason]
        case Join(connection, room):
            return ["join", connection, room]
        case Leave(connection, room):
            return ["leave", connection, room]
        case Attach(connection, attachment):
            return ["attach", connection, attachment]
        case SetTimer(name, at_us, every_us):
            return ["set-timer", name, at_us, every_us]
        case CancelTimer(name):
            return ["cancel-timer", name]


def _same(frame: Frame, own: Frame | None) -> bool:
    return type(frame) is type(own) and frame == own


def read_effect(item: object, own: Frame | None) -> Effect:
    """Read an effect's item. Raises RemoteProtocolError when it is not one."""
    match item:
        case ["accept", subprotocol]:
            return Accept(read_optional_text(subprotocol, "subprotocol"))
        case ["refuse", status, body]:
            return Refuse(read_count(status, "status"), read_text(body, "body"))
        case ["send", to, without, said, volatile] if type(volatile) is bool:
            frame = _own_frame(said, own)
            return Send(_read_target(to), frame, _connections(without, "without"), volatile)
        case ["close", to, code, reason]:
            return Close(_read_target(to), read_count(code, "code"), read_text(reason, "reason"))
        case ["join", connection, room]:
            return Join(read_count(connection, "connection"), read_text(room, "room"))
        case ["leave", connection, room]:
            return Leave(read_count(connection, "connection"), read_text(room, "room"))
        case ["attach", connection, attachment]:
            return Attach(read_count(connection, "connection"), read_text(attachment, "attachment"))
        case ["set-timer", name, at_us, every_us]:
            every = None if every_us is None else read_count(every_us, "every")
            return SetTimer(read_text(name, "name"), read_count(at_us, "at"), every)
        case ["cancel-timer", name]:
            return CancelTimer(read_text(name, "name"))
        case _:
            raise RemoteProtocolError("unknown effect")


def _own_frame(said: object, own: Frame | None) -> Frame:
    if said is True:
        if own is None:
            broken("the input's own frame, where there is none")
        return own
    frame = read_frame(said)
    if _same(frame, own):
        broken("the input's own frame is to be written as true")
    return frame


def _read_target(item: object) -> Target:
    match item:
        case [int(which), *rest] if type(which) is int:
            pass
        case _:
            broken("a target must be an array that starts with its kind")
    match which, rest:
        case 0, [connection]:
            return ToConnection(read_count(connection, "connection"))
        case 1, [connections]:
            return ToConnections(_connections(connections, "connections"))
        case 2, [room]:
            return ToRoom(read_text(room, "room"))
        case 3, []:
            return EVERYONE
        case _:
            raise RemoteProtocolError("unknown target")


def read_frame(value: object) -> Frame:
    """Read a frame: text or bytes."""
    if type(value) is not str and type(value) is not bytes:
        broken(f"a frame cannot be {type(value).__name__}")
    return value


def _connections(value: object, field: str) -> tuple[int, ...]:
    return tuple(read_count(one, field) for one in read_list(value, field))
