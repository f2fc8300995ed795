"""The golden vectors of format 2, as an encoder of their own wrote them down, and as records."""

import json
from pathlib import Path
from typing import Any

from theater_protocol.interface2.body import Genesis2, Instance2, Transition2
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
from theater_protocol.interface2.events import (
    Configure,
    Connect,
    Disconnect,
    Ending,
    Handshake,
    Identity,
    Message,
    Operator,
    Timer,
)

_GOLDEN = Path(__file__).parents[3] / "golden" / "chain2.json"
VECTORS: list[dict[str, Any]] = json.loads(_GOLDEN.read_text("utf-8"))
ROWS = [(v["seq"], bytes.fromhex(v["hash"]), bytes.fromhex(v["body"])) for v in VECTORS]


def transition(vector: dict[str, Any]) -> Transition2:
    """Read a vector's fields."""
    given = _value(vector["input"])
    return Transition2(
        vector["seq"],
        bytes.fromhex(vector["prev"]),
        vector["at"],
        _event(vector["kind"], vector["connection"], given),
        vector["outcome"],
        tuple(_effect(effect, given) for effect in _value(vector["effects"])),
        bytes.fromhex(vector["state_hash"]) if vector["state_hash"] else None,
    )


def _value(item: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(item, dict):
        return bytes.fromhex(item["hex"])
    return [_value(one) for one in item] if isinstance(item, list) else item


def _event(kind: str, connection: int, given: Any) -> Any:  # noqa: ANN401 - JSON
    match kind:
        case "genesis":
            return Genesis2(given[0], given[1])
        case "instance":
            return Instance2(*given)
        case "configure":
            return Configure(given[0], given[1], _pairs(given[2]))
        case "connect":
            path, query, headers, offered, identity, remote = given
            who = Identity(*identity) if identity else None
            return Connect(connection, Handshake(path, query, _pairs(headers), tuple(offered), who, remote))
        case "message":
            return Message(connection, given)
        case "disconnect":
            return Disconnect(connection, Ending(*given))
        case "timer":
            return Timer(*given)
        case _:
            return Operator(*given)


def _pairs(item: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, text) for name, text in item)


def _effect(item: Any, given: Any) -> Effect:  # noqa: ANN401 - JSON
    match item:
        case ["send", to, without, said, volatile]:
            return Send(_target(to), given if said is True else said, tuple(without), volatile)
        case ["close", to, code, reason]:
            return Close(_target(to), code, reason)
        case [word, *fields]:
            return _RECORDS[word](*fields)
        case _:
            raise AssertionError(item)


_RECORDS: dict[str, Any] = {
    "accept": Accept,
    "refuse": Refuse,
    "join": Join,
    "leave": Leave,
    "attach": Attach,
    "set-timer": SetTimer,
    "cancel-timer": CancelTimer,
}


def _target(item: list[Any]) -> Target:
    match item:
        case [0, connection]:
            return ToConnection(connection)
        case [1, connections]:
            return ToConnections(tuple(connections))
        case [2, room]:
            return ToRoom(room)
        case _:
            return EVERYONE
