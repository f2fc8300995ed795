"""What must hold from one transition to the next: connections and the state's hash.

The ledger is the running sum over a chain; a checkpoint is a sealed ledger that stands for dropped
transitions, and has to have its seal in the chain. Pure. The bytes of transitions and their links are in
chain.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Never

from theater_protocol import cbor
from theater_protocol.errors import RemoteProtocolError
from theater_protocol.messages import HASH_BYTES

_FORMAT: Final = 1
_SEAL_DOMAIN: Final = b"theater-checkpoint-1\0"


class Ledger:
    """Connections and state hash after a prefix of a chain.

    `last_connection` is the greatest connection id used so far (ids only count up), `initialised` says
    that an `init` succeeded or an event was recorded, `state_hash` is None where the state is none.
    """

    __slots__ = ("_shares_open", "initialised", "last_connection", "open", "state_hash")

    def __init__(
        self,
        state_hash: bytes | None = None,
        open_connections: Iterable[int] = (),
        last_connection: int = 0,
        initialised: bool = False,
    ) -> None:
        self.open = set(open_connections)
        self._shares_open = False
        self.last_connection = last_connection
        self.initialised = initialised
        self.state_hash = state_hash

    def copy(self) -> "Ledger":
        """Return a ledger that can be changed without changing this one, which must not change any more.

        The open connections are copied when the first of them changes: most batches open and close none, and
        there may be thousands.
        """
        twin = Ledger(self.state_hash, (), self.last_connection, self.initialised)
        twin.open, twin._shares_open = self.open, True
        return twin

    def apply(self, kind: str, connection: int, outcome: str, state_hash: bytes | None) -> str | None:
        """Take the next transition after genesis; return what is wrong with it, or None.

        After an error the ledger must not be used again.
        """
        if state_hash != self.state_hash:
            if outcome != "ok" or kind in ("instance", "seal"):
                return f"the state changes in {kind} with outcome {outcome}"
            self.state_hash = state_hash
        if connection == 0:
            if kind == "init" and outcome == "ok":
                self.initialised = True
            return None
        self.initialised = True
        if kind == "connect":
            return self._connect(connection)
        if connection not in self.open:
            return f"{kind} of connection {connection}, which is not open"
        if kind == "close":
            self._own_open().discard(connection)
        return None

    def _connect(self, connection: int) -> str | None:
        if connection in self.open:
            return f"connect of connection {connection}, which is open already"
        if connection <= self.last_connection:
            return f"connect of connection {connection} after connection {self.last_connection}"
        self._own_open().add(connection)
        self.last_connection = connection
        return None

    def _own_open(self) -> set[int]:
        if self._shares_open:
            self.open, self._shares_open = set(self.open), False
        return self.open


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Stands for the transitions up to and including `seq`, whose bodies were dropped.

    Nobody can compute it any more: what is in it holds because a transition of kind `seal` has its seal.
    `hash` is the hash of transition `seq`, `at_us` its time; `open_connections` are in ascending order.
    """

    actor: str
    seq: int
    hash: bytes
    at_us: int
    state_hash: bytes | None
    open_connections: tuple[int, ...]
    last_connection: int
    initialised: bool

    def ledger(self) -> Ledger:
        """Return the ledger after transition `seq`."""
        return Ledger(self.state_hash, self.open_connections, self.last_connection, self.initialised)


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Encode a checkpoint as its CBOR array, in the order of its fields."""
    return cbor.encode(
        [
            _FORMAT,
            checkpoint.actor,
            checkpoint.seq,
            checkpoint.hash,
            checkpoint.at_us,
            checkpoint.state_hash,
            list(checkpoint.open_connections),
            checkpoint.last_connection,
            checkpoint.initialised,
        ]
    )


def seal_checkpoint(body: bytes) -> bytes:
    """Return SHA-256("theater-checkpoint-1" ‖ 0x00 ‖ body)."""
    return sha256(_SEAL_DOMAIN + body).digest()


def decode_checkpoint(body: bytes) -> Checkpoint:
    """Read a checkpoint's body strictly. Raises RemoteProtocolError when it is not one."""
    item = cbor.decode_shortest(body)
    if type(item) is not list or len(item) != 9 or type(item[0]) is not int or item[0] != _FORMAT:
        _broken("a checkpoint must be an array of 9 that starts with its format 1")
    _, actor, seq, hash_, at_us, state_hash, connections, last, initialised = item
    if type(actor) is not str or type(initialised) is not bool:
        _broken("a checkpoint's actor must be text, its initialised a boolean")
    if not all(type(count) is int and count >= 0 for count in (seq, at_us, last)):
        _broken("a checkpoint's seq, at and last connection must be counts")
    if not _is_hash(hash_) or not (state_hash is None or _is_hash(state_hash)):
        _broken("a checkpoint's hashes must have 32 bytes")
    if type(connections) is not list or not _is_ascending(connections, last):
        _broken("a checkpoint's open connections must be ids in ascending order")
    return Checkpoint(actor, seq, hash_, at_us, state_hash, tuple(connections), last, initialised)


def _is_hash(value: object) -> bool:
    return type(value) is bytes and len(value) == HASH_BYTES


def _is_ascending(connections: list[object], last: int) -> bool:
    before = 0
    for connection in connections:
        if type(connection) is not int or not before < connection <= last:
            return False
        before = connection
    return True


def _broken(message: str) -> Never:
    raise RemoteProtocolError(message)
