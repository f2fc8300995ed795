"""The chain's links: a transition, its bytes and its hash.

Whether one follows from another is verifier.py's matter, what must hold between them beyond that ledger.py's;
where they are stored is the journal's.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Literal, NamedTuple, Never, cast

from theater_protocol import cbor
from theater_protocol.errors import LocalProtocolError, RemoteProtocolError
from theater_protocol.messages import HASH_BYTES, PAYLOAD_TYPES, SEED_BYTES, Payload, Reply, ReplyKind

FORMAT: Final = 1
NO_HASH: Final = bytes(HASH_BYTES)  # the `prev` of seq 0

TransitionKind = Literal[
    "genesis", "instance", "init", "connect", "text", "binary", "ping", "pong", "close", "seal", "state"
]
TransitionOutcome = Literal["ok", "err", "trap", "timeout", "poison"]

_DOMAIN: Final = b"theater-chain-1\0"
_LARGE_BYTES: Final = 16 * 1024  # to copy once more
_FIELDS: Final = 10
_HASH_ITEM_BYTES: Final = 2 + HASH_BYTES
_FIXED_BYTES: Final = 4 + _HASH_ITEM_BYTES  # the heads of array, format, kind and outcome; prev
_OUTCOMES: Final = frozenset({"ok", "err", "trap", "timeout", "poison"})
_INPUT_TYPES: Final[dict[str, type]] = {
    "genesis": list,
    "instance": list,
    "seal": list,
    "state": bytes,  # or null
    **PAYLOAD_TYPES,
}
_WITHOUT_CONNECTION: Final = frozenset({"genesis", "instance", "init", "seal", "state"})
_REPLY_TYPES: Final[dict[str, type]] = {
    kind: PAYLOAD_TYPES[kind] for kind in ("text", "binary", "ping", "pong", "close")
}


@dataclass(frozen=True, slots=True)
class Genesis:
    """The input of seq 0: whose chain this is and the component it began with."""

    actor: str
    component_sha256: bytes


@dataclass(frozen=True, slots=True)
class Instance:
    """The input of kind `instance`: a fresh instance, its seed (32 bytes) and its component."""

    seed: bytes
    component_sha256: bytes


@dataclass(frozen=True, slots=True)
class Seal:
    """The input of kind `seal`: the seal (32 bytes) of the checkpoint after transition `seq`."""

    seq: int
    seal: bytes


TransitionInput = Genesis | Instance | Seal | Payload


class Transition(NamedTuple):
    """One link of the chain.

    `prev` is the hash before it, `at_us` Unix time, `connection` 0 where there is none. The input by kind:
    genesis has Genesis, instance has Instance, seal has Seal, state has the bytes that an operator put in the
    state's place (None: the state none), init has the actor's name, text has str, binary, ping and pong have
    bytes, connect and close have None. Replies only with ok. `state_hash` is the SHA-256 of the state
    after it (for genesis: of the initial state), None where the state is none.
    """

    seq: int
    prev: bytes
    at_us: int
    kind: TransitionKind
    connection: int
    input: TransitionInput
    outcome: TransitionOutcome
    replies: tuple[Reply, ...]
    state_hash: bytes | None


def hash_body(body: bytes) -> bytes:
    """Return a transition's hash, SHA-256("theater-chain-1" ‖ 0x00 ‖ body)."""
    if len(body) < _LARGE_BYTES:
        return sha256(_DOMAIN + body).digest()  # half of the time that two updates take
    digest = sha256(_DOMAIN)
    digest.update(body)
    return digest.digest()


def encode(transition: Transition) -> bytes:
    """Encode a transition as `[1, seq, prev, at, kind, connection, input, outcome, replies, state_hash]`.

    Deterministic CBOR (RFC 8949, 4.2.1). Raises LocalProtocolError for what decode would refuse.
    """
    seq, prev, at_us, kind, connection, given, outcome, replies, state_hash = transition
    inputs = _input_item(given) if isinstance(given, (Genesis, Instance, Seal)) else given
    pairs = [[*reply] for reply in replies]
    item = [FORMAT, seq, prev, at_us, kind, connection, inputs, outcome, pairs, state_hash]
    try:
        _check(item)
    except RemoteProtocolError as exc:
        raise LocalProtocolError(f"not a transition: {exc}") from exc
    if _is_large(inputs) or any(_is_large(payload) for _, payload in replies):
        return b"".join(cbor.encode_in_parts(item))
    return cbor.encode(item)


def _is_large(payload: Payload | list[object]) -> bool:
    return payload is not None and len(payload) >= _LARGE_BYTES


def decode(body: bytes) -> Transition:
    """Read a body strictly. Raises RemoteProtocolError when it is not a transition's."""
    item = read_item(body)
    _, seq, prev, at_us, kind, connection, given, outcome, replies, state_hash = item
    return Transition(
        cast(int, seq),
        cast(bytes, prev),
        cast(int, at_us),
        cast(TransitionKind, kind),
        cast(int, connection),
        _read_input(cast(TransitionKind, kind), given),
        cast(TransitionOutcome, outcome),
        tuple(
            Reply(cast(ReplyKind, pair[0]), cast(Payload, pair[1]))
            for pair in cast(list[list[object]], replies)
        ),
        cast(bytes | None, state_hash),
    )


def read_item(body: bytes) -> list[Any]:
    """Read a body's CBOR array strictly, with no transition made of it. Raises RemoteProtocolError."""
    item = cbor.decode(body)
    if type(item) is not list:
        _broken("a transition must be an array")
    _check(item)
    if _shortest_bytes(item) != len(body):
        _broken("not in shortest form")
    return item


def _broken(message: str) -> Never:
    raise RemoteProtocolError(message)


def _check(item: list[Any]) -> None:
    """Check one body's shape; plain type tests in a row, because verifying spends its time here."""
    if len(item) != _FIELDS or type(item[0]) is not int or item[0] != FORMAT:
        _broken(f"a transition must be an array of {_FIELDS} that starts with its format {FORMAT}")
    _, seq, prev, at_us, kind, connection, given, outcome, replies, state_hash = item
    if type(seq) is not int or not 0 <= seq < 1 << 63:
        _broken("seq must be a count")
    if type(prev) is not bytes or len(prev) != HASH_BYTES:
        _broken("prev must be a hash of 32 bytes")
    if type(at_us) is not int or not 0 <= at_us < 1 << 63:
        _broken("at must be microseconds since 1970")
    if type(kind) is not str or kind not in _INPUT_TYPES:
        _broken(f"unknown kind {kind!r:.40}")
    if type(connection) is not int or not 0 <= connection < 1 << 63:
        _broken("connection must be a count")
    if (connection == 0) != (kind in _WITHOUT_CONNECTION):
        _broken(f"connection {connection} does not go with kind {kind}")
    if type(given) is not _INPUT_TYPES[kind] and not (kind == "state" and given is None):
        _broken(f"the input of {kind} cannot be {type(given).__name__}")
    if type(outcome) is not str or outcome not in _OUTCOMES:
        _broken(f"unknown outcome {outcome!r:.40}")
    if state_hash is not None and (type(state_hash) is not bytes or len(state_hash) != HASH_BYTES):
        _broken("state_hash must be a hash of 32 bytes or null")
    if type(given) is list:
        _check_boundary(kind, given, outcome)
    elif kind == "state" and outcome != "ok":
        _broken(f"{kind} cannot have outcome {outcome}")
    _check_replies(replies, outcome, kind)


def _check_boundary(kind: str, given: list[object], outcome: str) -> None:
    if outcome != "ok":
        _broken(f"{kind} cannot have outcome {outcome}")
    match kind, given:
        case "genesis", [str(), bytes(component), int(version)]:
            fits = len(component) == HASH_BYTES and type(version) is int and version == FORMAT
        case "instance", [bytes(seed), bytes(component)]:
            fits = len(seed) == SEED_BYTES and len(component) == HASH_BYTES
        case "seal", [int(seq), bytes(seal)]:
            fits = type(seq) is int and 0 <= seq < 1 << 63 and len(seal) == HASH_BYTES
        case _:
            fits = False
    if not fits:
        _broken(f"the input of {kind} is malformed")


def _check_replies(replies: object, outcome: str, kind: str) -> None:
    if type(replies) is not list:
        _broken("replies must be an array")
    if replies and (outcome != "ok" or kind in _WITHOUT_CONNECTION):
        _broken(f"replies to {kind} with outcome {outcome}")
    for pair in replies:
        if type(pair) is not list or len(pair) != 2 or type(pair[0]) is not str:
            _broken("a reply must be an array of 2")
        if type(pair[1]) is not _REPLY_TYPES.get(pair[0]):
            _broken(f"a {pair[0]:.40} reply cannot be {type(pair[1]).__name__}")


def _shortest_bytes(item: list[Any]) -> int:
    """Return how many bytes a checked item has in its shortest form.

    There is one such form, and every other is longer: so nothing has to be encoded to know it, which would
    take four times as long.
    """
    _, seq, _, at_us, kind, connection, given, outcome, replies, state_hash = item
    size = _FIXED_BYTES + cbor.head_bytes(seq) + cbor.head_bytes(at_us) + cbor.head_bytes(connection)
    # Heads of kinds and outcomes are a byte each.
    size += len(kind) + len(outcome) + _payload_bytes(given) + cbor.head_bytes(len(replies))
    for reply_kind, payload in replies:
        size += 2 + len(reply_kind) + _payload_bytes(payload)
    return size + (1 if state_hash is None else _HASH_ITEM_BYTES)


def _payload_bytes(payload: Any) -> int:  # noqa: ANN401 a checked item's: text, bytes, null, a count or an array of them
    if payload is None:
        return 1
    if type(payload) is int:
        return cbor.head_bytes(payload)
    if type(payload) is list:
        return cbor.head_bytes(len(payload)) + sum(map(_payload_bytes, payload))
    size = len(payload) if type(payload) is bytes or payload.isascii() else len(payload.encode())
    return size + cbor.head_bytes(size)


def _input_item(given: Genesis | Instance | Seal) -> list[object]:
    match given:
        case Genesis(actor, component_sha256):
            return [actor, component_sha256, FORMAT]
        case Instance(seed, component_sha256):
            return [seed, component_sha256]
        case Seal(seq, seal):
            return [seq, seal]


def _read_input(kind: TransitionKind, given: object) -> TransitionInput:
    if kind == "genesis":
        actor, component_sha256, _ = cast(tuple[str, bytes, int], given)
        return Genesis(actor, component_sha256)
    if kind == "instance":
        seed, component_sha256 = cast(tuple[bytes, bytes], given)
        return Instance(seed, component_sha256)
    if kind == "seal":
        seq, seal = cast(tuple[int, bytes], given)
        return Seal(seq, seal)
    return cast(Payload, given)
