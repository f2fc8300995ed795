"""What a journal holds, and how a batch of entries follows from it.

Pure: the links, the ledger and the state after a batch are computed here; tables.py writes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from theater_protocol.chain import (
    Transition,
    TransitionInput,
    TransitionKind,
    TransitionOutcome,
    encode,
    hash_body,
)
from theater_protocol.errors import LocalProtocolError
from theater_protocol.ledger import Ledger
from theater_protocol.messages import Changed, Reply, Unchanged

Row = tuple[int, bytes, bytes]


class Entry(NamedTuple):
    """A transition before it has its place in the chain; the fields are chain.Transition's, in its order."""

    at_us: int
    kind: TransitionKind
    connection: int
    input: TransitionInput
    outcome: TransitionOutcome
    replies: tuple[Reply, ...]
    state_hash: bytes | None


@dataclass(frozen=True, slots=True)
class Head:
    """The newest transition's place and hash."""

    seq: int
    hash: bytes


class Mark(NamedTuple):
    """A place in the chain: a seq, its time, and how many bytes of bodies came before it, see Contents."""

    seq: int
    at_us: int
    octets: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What the journal holds on disk; replaced as a whole after each commit, never changed.

    `octets` counts the bytes of bodies since the journal was opened, `newest_seal` is where the newest seal
    since then is.
    """

    actor: str
    head: Head
    at_us: int
    state: bytes | None
    ledger: Ledger
    oldest_seq: int
    oldest_at_us: int
    octets: int = 0
    newest_seal: "Mark | None" = None


@dataclass(frozen=True, slots=True)
class Origin:
    """What a new journal begins with."""

    actor: str
    component_sha256: bytes
    state: bytes | None
    at_us: int


def link(
    before: Contents, entries: Sequence[Entry], update: Changed | Unchanged
) -> tuple[Contents, list[Row]]:
    """Chain the entries to the head; return the contents after them and their rows."""
    ledger = before.ledger.copy()
    seq, prev = before.head.seq, before.head.hash
    rows: list[Row] = []
    octets, newest_seal = before.octets, before.newest_seal
    for entry in entries:
        seq += 1
        wrong = ledger.apply(entry.kind, entry.connection, entry.outcome, entry.state_hash)
        if wrong:
            raise LocalProtocolError(f"not committed: seq {seq}: {wrong}")
        body = encode(Transition(seq, prev, *entry))
        prev = hash_body(body)
        rows.append((seq, prev, body))
        if entry.kind == "seal":
            newest_seal = Mark(seq, entry.at_us, octets)
        octets += len(body)
    state = _state_after(before, ledger, update)
    at_us = entries[-1].at_us
    oldest = before.oldest_seq, before.oldest_at_us
    after = Contents(before.actor, Head(seq, prev), at_us, state, ledger, *oldest, octets, newest_seal)
    return after, rows


def _state_after(before: Contents, ledger: Ledger, update: Changed | Unchanged) -> bytes | None:
    if isinstance(update, Unchanged):
        if ledger.state_hash != before.ledger.state_hash:
            raise LocalProtocolError("not committed: the last entry's state is not the unchanged one")
        return before.state
    if (update.state is None) != (ledger.state_hash is None):
        raise LocalProtocolError("not committed: the last entry's state hash is not that of the state")
    return update.state
