"""Format 2 of a transition: its bytes, in both directions.

`[2, seq, prev, at, kind, connection, input, outcome, effects, state_hash]`: the ten fields of format 1, and
effects in place of replies, so that both stand in one chain. What must hold between them is ledger.py's.
"""

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple, cast

from theater_protocol import cbor
from theater_protocol.errors import LocalProtocolError, RemoteProtocolError
from theater_protocol.fields import broken, read_count, read_list, read_octets, read_optional_text, read_text
from theater_protocol.interface2.effect_items import effect_item, read_effect, read_frame
from theater_protocol.interface2.effects import Effect, Send
from theater_protocol.interface2.events import (
    CLOSERS,
    EVENT_KINDS,
    Closer,
    Configure,
    Connect,
    Disconnect,
    Ending,
    Event,
    EventKind,
    Handshake,
    Identity,
    Message,
    Operator,
    Timer,
)
from theater_protocol.messages import HASH_BYTES, SEED_BYTES

FORMAT: Final = 2

Kind = Literal["genesis", "instance"] | EventKind
Outcome2 = Literal["ok", "err", "trap", "timeout", "poison"]

_FIELDS: Final = 10
_OUTCOMES: Final = frozenset({"ok", "err", "trap", "timeout", "poison"})
_OF_A_CONNECTION: Final = frozenset({"connect", "message", "disconnect"})


class Genesis2(NamedTuple):
    """The input of seq 0: whose chain this is, and the component it began with."""

    actor: str
    component_sha256: bytes


class Instance2(NamedTuple):
    """The input of kind `instance`: a fresh instance, its seed (32 bytes) and its component."""

    seed: bytes
    component_sha256: bytes


class Transition2(NamedTuple):
    """One link of the chain in format 2. Effects only with ok; `at_us` is Unix time."""

    seq: int
    prev: bytes
    at_us: int
    event: Genesis2 | Instance2 | Event | Operator
    outcome: Outcome2
    effects: tuple[Effect, ...]
    state_hash: bytes | None

    @property
    def kind(self) -> Kind:
        """The word for what happened."""
        match self.event:
            case Genesis2():
                return "genesis"
            case Instance2():
                return "instance"
            case event:
                return EVENT_KINDS[type(event)]

    @property
    def connection(self) -> int:
        """Whose event it is, 0 where there is none."""
        return connection_of(self.event)


def connection_of(event: Genesis2 | Instance2 | Event | Operator) -> int:
    """Say whose event it is, 0 where there is none."""
    match event:
        case Connect(connection, _) | Message(connection, _) | Disconnect(connection, _):
            return connection
        case _:
            return 0


def encode(transition: Transition2) -> bytes:
    """Encode a transition in deterministic CBOR (RFC 8949, 4.2.1).

    Raises LocalProtocolError for what decode would refuse.
    """
    event = transition.event
    own = event.frame if isinstance(event, Message) else None
    item = [
        FORMAT,
        transition.seq,
        transition.prev,
        transition.at_us,
        transition.kind,
        transition.connection,
        input_item(event),
        transition.outcome,
        [effect_item(effect, own) for effect in transition.effects],
        transition.state_hash,
    ]
    try:
        check(item)
    except RemoteProtocolError as exc:
        raise LocalProtocolError(f"not a transition: {exc}") from exc
    return b"".join(cbor.encode_in_parts(item))


def decode(body: bytes) -> Transition2:
    """Read a body strictly. Raises RemoteProtocolError when it is not a transition's in format 2."""
    item = cbor.decode_shortest(body)
    if type(item) is not list:
        broken("a transition must be an array")
    return check(item)


def check(item: list[Any]) -> Transition2:
    """Read a body's CBOR array. Raises RemoteProtocolError for what is not a transition's."""
    if len(item) != _FIELDS or type(item[0]) is not int or item[0] != FORMAT:
        broken(f"a transition must be an array of {_FIELDS} that starts with its format {FORMAT}")
    _, seq, prev, at_us, kind, connection, given, outcome, effects, state_hash = item
    if type(outcome) is not str or outcome not in _OUTCOMES:
        broken(f"unknown outcome {outcome!r:.40}")
    if outcome != "ok" and kind in ("genesis", "instance", "operator"):
        broken(f"{kind} cannot have outcome {outcome}")
    event = read_input(kind, connection, given)
    own = event.frame if isinstance(event, Message) else None
    read = tuple(read_effect(effect, own) for effect in read_list(effects, "effects"))
    if read and (outcome != "ok" or kind in ("genesis", "instance")):
        broken(f"effects of {kind} with outcome {outcome}")
    if kind == "operator" and not all(isinstance(effect, Send) for effect in read):
        broken("an operator sends, and does nothing else")
    return Transition2(
        read_count(seq, "seq"),
        read_octets(prev, HASH_BYTES, "prev"),
        read_count(at_us, "at"),
        event,
        cast(Outcome2, outcome),
        read,
        None if state_hash is None else read_octets(state_hash, HASH_BYTES, "state_hash"),
    )


# Inputs.


def read_input(kind: object, connection: object, given: object) -> Genesis2 | Instance2 | Event | Operator:
    """Read what happened: its kind, its connection (0 where there is none), its input.

    Raises RemoteProtocolError when they are no event's, or do not go together.
    """
    if type(kind) is not str or kind not in _INPUTS:
        broken(f"unknown kind {kind!r:.40}")
    of = read_count(connection, "connection")
    if (of == 0) == (kind in _OF_A_CONNECTION):
        broken(f"connection {of} does not go with kind {kind}")
    return _INPUTS[kind](of, given)


def input_item(event: Genesis2 | Instance2 | Event | Operator) -> object:
    """Return an input's item."""
    match event:
        case Genesis2(actor, component):
            return [actor, component, FORMAT]
        case Instance2(seed, component):
            return [seed, component]
        case Configure(actor, key, config):
            return [actor, key, [[*pair] for pair in config]]
        case Connect(_, handshake):
            return _handshake_item(handshake)
        case Message(_, frame):
            return frame
        case Disconnect(_, ending):
            return [*ending]
        case Timer(name, due_us):
            return [name, due_us]
        case Operator(action, who):
            return [action, who]


def _handshake_item(handshake: Handshake) -> list[object]:
    path, query, headers, subprotocols, identity, remote = handshake
    who = None if identity is None else [*identity]
    return [path, query, [[*pair] for pair in headers], [*subprotocols], who, remote]


def _read_genesis(_: int, given: object) -> Genesis2:
    match given:
        case [str(actor), bytes(component), int(version)] if type(version) is int and version == FORMAT:
            return Genesis2(actor, read_octets(component, HASH_BYTES, "component"))
        case _:
            raise RemoteProtocolError("the input of genesis is malformed")


def _read_instance(_: int, given: object) -> Instance2:
    match given:
        case [bytes(seed), bytes(component)] if len(seed) == SEED_BYTES:
            return Instance2(seed, read_octets(component, HASH_BYTES, "component"))
        case _:
            raise RemoteProtocolError("the input of instance is malformed")


def _read_configure(_: int, given: object) -> Configure:
    actor, key, config = _fields(given, 3, "configure")
    return Configure(read_text(actor, "actor"), read_optional_text(key, "key"), _pairs(config, "config"))


def _read_connect(connection: int, given: object) -> Connect:
    path, query, headers, subprotocols, identity, remote = _fields(given, 6, "connect")
    who = None if identity is None else Identity(*_texts(identity, 2, "identity"))
    offered = tuple(read_text(one, "a subprotocol") for one in read_list(subprotocols, "subprotocols"))
    handshake = Handshake(
        read_text(path, "path"),
        read_optional_text(query, "query"),
        _pairs(headers, "headers"),
        offered,
        who,
        read_optional_text(remote, "remote"),
    )
    return Connect(connection, handshake)


def _read_message(connection: int, given: object) -> Message:
    return Message(connection, read_frame(given))


def _read_disconnect(connection: int, given: object) -> Disconnect:
    code, reason, clean, by = _fields(given, 4, "disconnect")
    if read_count(code, "code") >= 1 << 16:
        broken("a close code has 16 bits")
    if type(clean) is not bool or by not in CLOSERS:
        broken("the input of disconnect is malformed")
    return Disconnect(connection, Ending(code, read_text(reason, "reason"), clean, cast(Closer, by)))


def _read_timer(_: int, given: object) -> Timer:
    name, due_us = _fields(given, 2, "timer")
    return Timer(read_text(name, "name"), read_count(due_us, "due"))


def _read_operator(_: int, given: object) -> Operator:
    action, who = _fields(given, 2, "operator")
    if action != "send":
        broken(f"unknown action {action!r:.40}")
    return Operator("send", read_text(who, "who"))


_INPUTS: Final[dict[str, Callable[[int, object], Genesis2 | Instance2 | Event | Operator]]] = {
    "genesis": _read_genesis,
    "instance": _read_instance,
    "configure": _read_configure,
    "connect": _read_connect,
    "message": _read_message,
    "disconnect": _read_disconnect,
    "timer": _read_timer,
    "operator": _read_operator,
}


def _fields(value: object, count: int, kind: str) -> list[Any]:
    fields = read_list(value, f"the input of {kind}")
    if len(fields) != count:
        broken(f"the input of {kind} must be an array of {count}")
    return fields


def _texts(value: object, count: int, field: str) -> list[str]:
    return [read_text(one, field) for one in _fields(value, count, field)]


def _pairs(value: object, field: str) -> tuple[tuple[str, str], ...]:
    pairs = (_texts(pair, 2, field) for pair in read_list(value, field))
    return tuple((name, text) for name, text in pairs)
