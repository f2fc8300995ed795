"""Verifying a chain: the check that each row follows from the one before.

Sans-IO: rows in, faults out. Neither a clock nor a component is needed. A link's own form is in chain.py, and
what must hold between transitions beyond their links in ledger.py.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from theater_protocol.chain import NO_HASH, hash_body, read_item
from theater_protocol.errors import RemoteProtocolError
from theater_protocol.ledger import Checkpoint, Ledger, encode_checkpoint, seal_checkpoint


@dataclass(frozen=True, slots=True)
class Fault:
    """The first seq of a chain that is wrong, and what is wrong with it."""

    seq: int
    what: str

    def __str__(self) -> str:
        return f"seq {self.seq}: {self.what}"


class ChainVerifier:
    """Checks that rows, given in the order of their seq, are one unbroken chain.

    Starts at genesis, or after a checkpoint. `feed` every row; `seq`, `hash` and `ledger` are those after the
    last row that was right (seq -1 before the first). After a fault the verifier must not be fed again.

    `sealed_at` is the seq of the transition that has the seal of the checkpoint it started after, None until
    one came: so long nothing in the chain vouches for what the checkpoint says.
    """

    def __init__(self, checkpoint: Checkpoint | None = None) -> None:
        self.sealed_at: int | None = None
        self._began_after = checkpoint
        if checkpoint is None:
            self.actor, self.seq, self.hash, self.at_us, self.ledger = "", -1, NO_HASH, 0, Ledger()
        else:
            self.actor, self.seq, self.hash = checkpoint.actor, checkpoint.seq, checkpoint.hash
            self.at_us, self.ledger = checkpoint.at_us, checkpoint.ledger()

    def feed(self, seq: int, hash: bytes, body: bytes) -> Fault | None:
        """Take the next row; return the fault that it shows, or None."""
        if seq != self.seq + 1:
            return self._gap(seq, self.seq + 1)
        if type(body) is not bytes:
            return Fault(seq, "malformed: its body is not bytes")
        if hash_body(body) != hash:
            return Fault(seq, _unlike_its_hash(seq, body))
        try:
            item = read_item(body)
        except RemoteProtocolError as exc:
            return Fault(seq, f"malformed: {exc}")
        wrong = self._misplaced(item) or self._misfit(item)
        if wrong:
            return Fault(seq, wrong)
        self.seq, self.hash, self.at_us = seq, hash, item[3]
        return None

    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint that stands for everything up to the last row."""
        ledger = self.ledger
        return Checkpoint(
            self.actor,
            self.seq,
            self.hash,
            self.at_us,
            ledger.state_hash,
            tuple(sorted(ledger.open)),
            ledger.last_connection,
            ledger.initialised,
        )

    def _gap(self, seq: int, expected: int) -> Fault:
        if seq < expected:
            return Fault(seq, f"out of order: it comes where seq {expected} is due")
        if expected == 0:
            return Fault(0, f"the genesis is missing: the first row is seq {seq}")
        return Fault(expected, f"missing: after seq {expected - 1} comes seq {seq}")

    def _misplaced(self, item: list[Any]) -> str | None:
        if item[1] != self.seq + 1:
            return f"its body is that of seq {item[1]}: moved or repeated"
        if item[2] != self.hash:
            return f"its prev is not the hash of seq {self.seq}: one of the two was replaced"
        return None

    def _misfit(self, item: list[Any]) -> str | None:
        _, _, _, _, kind, connection, given, outcome, _, state_hash = item
        if (kind == "genesis") != (self.seq < 0):
            return "the genesis is missing" if self.seq < 0 else "a second genesis"
        if kind == "seal" and (wrong := self._missealed(*given)):
            return wrong
        if kind == "state" and state_hash != (None if given is None else sha256(given).digest()):
            return "the state that was set does not have the hash recorded here"
        if kind != "genesis":
            return self.ledger.apply(kind, connection, outcome, state_hash)
        self.actor = given[0]
        self.ledger.state_hash = state_hash
        return None

    def _missealed(self, seq: int, seal: bytes) -> str | None:
        began = self._began_after
        if seq == self.seq:
            expected = self.checkpoint()
        elif began is not None and seq == began.seq:
            expected = began
        elif began is not None and seq < began.seq:
            return None  # of an earlier checkpoint, in whose place there is a later one
        else:
            return f"a seal of the checkpoint after seq {seq}, which does not begin this chain"
        if seal_checkpoint(encode_checkpoint(expected)) != seal:
            return f"its seal is not that of the checkpoint after seq {seq}: one of the two was replaced"
        if began is not None and seq == began.seq and self.sealed_at is None:
            self.sealed_at = self.seq + 1
        return None


def _unlike_its_hash(seq: int, body: bytes) -> str:
    """Tell a moved body from a changed one, for the operator's sake."""
    try:
        inner = read_item(body)[1]
    except RemoteProtocolError:
        return "its body does not have its hash: changed"
    if inner != seq:
        return f"its body is that of seq {inner} and does not have its hash: moved or repeated"
    return "its body does not have its hash: changed or replaced"
