"""Offline verification: the chain, and everything a journal keeps beside it, against each other.

Reads a live or a stopped journal, writes nothing, needs no component. What the chain itself must be is in
theater_protocol.verifier; this is about the tables around it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from theater_protocol.chain import Transition, decode, hash_body
from theater_protocol.errors import RemoteProtocolError
from theater_protocol.ledger import Checkpoint
from theater_protocol.verifier import ChainVerifier, Fault
from theater_supervisor.journal.contents import Head
from theater_supervisor.journal.reader import JournalReader, read
from theater_supervisor.journal.retention import hash_state


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verification found.

    `events` transitions from `first_seq` on were right, `head` is the last of them; earlier ones were dropped
    behind a checkpoint and cannot be verified any more. `fault` is None when everything is right.
    """

    actor: str
    events: int
    first_seq: int
    head: Head
    fault: Fault | None


def verify(path: Path, head: bytes | None = None) -> Verdict:
    """Check a journal from its first transition to its head.

    `head` is a hash noted earlier: a chain that no longer contains it was cut or rewritten, which cannot be
    seen from inside. Raises JournalRefused for a file that is not a journal, JournalFailed when it cannot be
    read.
    """
    with read(path) as journal:
        return _Verification(journal, head).verdict()


@dataclass(slots=True)
class _Seen:
    """What the tables beside the chain are compared with, gathered on the way through it."""

    noted_head: int | None = None
    state_hashes: dict[int, bytes | None] = field(default_factory=dict)
    poison: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)


class _Verification:
    def __init__(self, journal: JournalReader, noted_head: bytes | None) -> None:
        self._journal = journal
        self._noted_head = noted_head
        self._seen = _Seen()
        self._checkpoint: Checkpoint | None = None
        self._chain = ChainVerifier()

    def verdict(self) -> Verdict:
        fault = self._first_fault()
        chain = self._chain
        first_seq = 0 if self._checkpoint is None else self._checkpoint.seq + 1
        events = chain.seq - first_seq + 1
        return Verdict(chain.actor, events, first_seq, Head(chain.seq, chain.hash), fault)

    def _first_fault(self) -> Fault | None:
        try:
            self._checkpoint = self._journal.checkpoint()
        except RemoteProtocolError as exc:
            return Fault(_seq_before(self._journal), str(exc))
        self._chain = ChainVerifier(self._checkpoint)
        try:
            return self._links() or next(self._tables(), None)
        except RemoteProtocolError as exc:
            return Fault(self._chain.seq + 1, str(exc))
        except apsw.CorruptError as exc:
            return Fault(self._chain.seq + 1, f"the file is damaged: {exc}")

    def _links(self) -> Fault | None:
        chain, seen, noted_head = self._chain, self._seen, self._noted_head
        snapshots = self._journal.snapshots()
        if self._checkpoint is not None:
            seen.state_hashes[self._checkpoint.seq] = self._checkpoint.state_hash
        for seq, hash_, body in self._journal.rows():
            fault = chain.feed(seq, hash_, body)
            if fault is not None:
                return fault
            if hash_ == noted_head:
                seen.noted_head = seq
            if b"poison" in body and decode(body).outcome == "poison":
                seen.poison[seq] = (hash_, body)
            if seq in snapshots and decode(body).kind in ("genesis", "instance", "state"):
                seen.state_hashes[seq] = chain.ledger.state_hash
        return None

    def _tables(self) -> Iterator[Fault]:
        """Yield what does not fit the chain, table by table."""
        yield from self._seal()
        yield from self._head()
        yield from self._connections()
        yield from self._state()
        yield from self._snapshots()
        yield from self._quarantine()

    def _seal(self) -> Iterator[Fault]:
        """Yield what is wrong when nothing vouches for the checkpoint, or nothing before the noted head."""
        if self._checkpoint is None:
            return
        seq, sealed_at, noted_at = self._checkpoint.seq, self._chain.sealed_at, self._seen.noted_head
        if sealed_at is None:
            yield Fault(
                seq,
                "the checkpoint's seal is nowhere in the chain: it is forged, or an earlier release made it "
                "and the actor has not been started since",
            )
        elif noted_at is not None and noted_at < sealed_at:
            yield Fault(
                seq,
                f"the checkpoint's seal came into the chain at seq {sealed_at}, behind the noted head, seq "
                f"{noted_at}, which does not vouch for it: note a newer head",
            )

    def _head(self) -> Iterator[Fault]:
        chain = self._chain
        head = self._journal.head()
        if head is None:
            yield Fault(max(chain.seq, 0), "the recorded head is missing")
            return
        seq, hash_, last_connection, initialised = head
        if seq > chain.seq:
            yield Fault(
                chain.seq + 1, f"missing: the chain ends at seq {chain.seq}, its recorded head is seq {seq}"
            )
        if seq < chain.seq:
            yield Fault(seq + 1, f"beyond the recorded head, seq {seq}: added")
        if hash_ != chain.hash:
            yield Fault(seq, "its hash is not that of the recorded head: replaced")
        if last_connection != chain.ledger.last_connection:
            yield Fault(seq, f"the last connection is {chain.ledger.last_connection}, not {last_connection}")
        if initialised != int(chain.ledger.initialised):
            yield Fault(seq, "whether the actor is initialised is recorded wrongly")
        if self._noted_head is not None and self._seen.noted_head is None:
            yield Fault(
                seq,
                f"the chain ends here without the noted head {self._noted_head.hex()}: "
                "cut off, rewritten or dropped by retention",
            )

    def _state(self) -> Iterator[Fault]:
        try:
            state = self._journal.state()
        except KeyError:
            yield Fault(self._chain.seq, "the current state is missing")
            return
        if hash_state(state) != self._chain.ledger.state_hash:
            yield Fault(self._chain.seq, "the current state does not have the hash recorded here")

    def _connections(self) -> Iterator[Fault]:
        recorded = self._journal.open_connections()
        for connection in sorted(recorded ^ self._chain.ledger.open):
            where = "recorded as open, but not" if connection in recorded else "not recorded as open, but"
            yield Fault(self._chain.seq, f"connection {connection} is {where} in the chain")

    def _snapshots(self) -> Iterator[Fault]:
        snapshots = self._journal.snapshots()
        if self._checkpoint is None and 0 not in snapshots:
            yield Fault(0, "the snapshot of the initial state is missing")
        for seq, state in snapshots.items():
            if seq not in self._seen.state_hashes:
                yield Fault(seq, "a snapshot where no instance begins")
            elif hash_state(state) != self._seen.state_hashes[seq]:
                yield Fault(seq, "its snapshot does not have the state hash recorded here")

    def _quarantine(self) -> Iterator[Fault]:
        kept = self._journal.quarantined()
        for seq, row in self._seen.poison.items():
            if kept.get(seq) != row:
                yield Fault(seq, "the quarantined delivery is missing or changed")
        for seq, (hash_, body) in kept.items():
            dropped = self._checkpoint is not None and seq <= self._checkpoint.seq
            if seq not in self._seen.poison and not (dropped and _is_poison(seq, hash_, body)):
                yield Fault(seq, "a quarantined delivery that was never recorded, or was changed")


def _is_poison(seq: int, hash_: bytes, body: bytes) -> bool:
    try:
        transition: Transition = decode(body)
    except RemoteProtocolError:
        return False
    return hash_body(body) == hash_ and transition.seq == seq and transition.outcome == "poison"


def _seq_before(journal: JournalReader) -> int:
    first = next(journal.rows(), None)
    return max(first[0] - 1, 0) if first is not None else 0
