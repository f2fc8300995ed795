"""How much of a chain is kept, and the step that drops the rest behind a checkpoint.

A step runs with a commit, is bounded, and verifies what it drops: evidence of damage is never thrown away.
What stands for the dropped ones follows from the chain: a transition of kind `seal` is put into it now and
then, and what lies before one can be dropped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal, cast

import apsw

from theater_protocol.chain import Seal, Transition, decode
from theater_protocol.errors import RemoteProtocolError
from theater_protocol.ledger import Checkpoint, decode_checkpoint, encode_checkpoint, seal_checkpoint
from theater_protocol.verifier import ChainVerifier
from theater_supervisor.journal.bodies import BodyFiles, is_place
from theater_supervisor.journal.contents import Contents, Entry, Row

SLACK_US: Final = 3_600_000_000
_DAY_US: Final = 86_400_000_000
_STEP_BYTES: Final = 8 * 1024 * 1024  # of bodies: to read and hash them takes 10 ms, and others may wait
_SEAL_BYTES: Final = _STEP_BYTES // 2
# How far to look for a seal: batches may be larger than steps.
_LOOK_STEPS: Final = 8
_LOOK_BYTES: Final = 2 * _STEP_BYTES


@dataclass(frozen=True, slots=True)
class Retention:
    """What to keep; None is everything. A transition beyond either bound is dropped, the newest never.

    Dropping happens with a commit, about `step_events` at a time, fewer large ones, and up to a seal. It
    waits until that many are beyond `keep_events` or the oldest is an hour beyond `keep_days`, so that not
    every commit writes a checkpoint.
    """

    keep_events: int | None = None
    keep_days: float | None = None
    step_events: int = 256

    def is_due(self, oldest_seq: int, oldest_at_us: int, newest_seq: int, now_us: int) -> bool:
        """Say whether a step should be taken."""
        by_count = self._first_kept_seq(newest_seq) - oldest_seq >= self.step_events
        return by_count or oldest_at_us < self._first_kept_us(now_us) - SLACK_US

    def is_seal_due(self, before: Contents, now_us: int) -> bool:
        """Say whether the next transition should be a seal."""
        if self.keep_events is None and self.keep_days is None:
            return False
        newest = before.newest_seal
        if newest is None:
            return True
        apart_us = float("inf") if self.keep_days is None else max(SLACK_US, self.keep_days * _DAY_US / 24)
        return (
            before.head.seq - newest.seq >= self.step_events
            or before.octets - newest.octets >= _SEAL_BYTES
            or now_us - newest.at_us >= apart_us
        )

    def drops(self, seq: int, at_us: int, newest_seq: int, now_us: int) -> bool:
        """Say whether a transition is beyond a bound."""
        beyond = seq < self._first_kept_seq(newest_seq) or at_us < self._first_kept_us(now_us)
        return seq < newest_seq and beyond

    def later(self, oldest_seq: int, oldest_at_us: int, newest_seq: int, now_us: int) -> "Step":
        """Return a step that drops nothing and lets the next be due when there is as much again."""
        kept_us = self._first_kept_us(now_us)
        at_us = oldest_at_us if kept_us == float("-inf") else max(oldest_at_us, int(kept_us))
        return Step(None, max(oldest_seq, self._first_kept_seq(newest_seq)), at_us)

    def _first_kept_seq(self, newest_seq: int) -> int:
        return 0 if self.keep_events is None else newest_seq - self.keep_events + 1

    def _first_kept_us(self, now_us: int) -> float:
        return float("-inf") if self.keep_days is None else now_us - self.keep_days * _DAY_US


KEEP_ALL: Final = Retention()


def read_checkpoint(connection: apsw.Connection) -> Checkpoint | None:
    """Read the journal's checkpoint; None while nothing was dropped.

    Raises RemoteProtocolError when it is damaged, apsw.Error when it cannot be read.
    """
    row = cast(tuple[bytes, bytes] | None, connection.execute("SELECT seal, body FROM checkpoint").get)
    if row is None:
        return None
    seal, body = row
    if type(body) is not bytes or seal_checkpoint(body) != seal:
        raise RemoteProtocolError("the checkpoint does not have its seal")
    return decode_checkpoint(body)


@dataclass(frozen=True, slots=True)
class Step:
    """What a step drops: all up to `checkpoint`, nothing when that is None.

    `oldest_seq` and `oldest_at_us` are of what is then the oldest, or from where on to look next time. A
    checkpoint that is not `in_chain` has yet to get its seal there. `last_place` is of the last large body.
    """

    checkpoint: Checkpoint | None
    oldest_seq: int
    oldest_at_us: int
    in_chain: bool = True
    last_place: bytes = b""

    def take(self, connection: apsw.Connection, bodies: BodyFiles) -> None:
        """Drop it; inside a transaction, and `bodies.sweep` after it. Raises apsw.Error."""
        if self.checkpoint is None:
            return
        body = encode_checkpoint(self.checkpoint)
        seq = self.checkpoint.seq
        connection.execute(
            "INSERT OR REPLACE INTO checkpoint VALUES (0, ?, ?)", (seal_checkpoint(body), body)
        )
        connection.execute("DELETE FROM chain WHERE seq <= ?", (seq,))
        _move_snapshot(connection, self.checkpoint)
        bodies.forget(self.last_place)


def find_step(
    connection: apsw.Connection, retention: Retention, newest_seq: int, now_us: int, bodies: BodyFiles
) -> Step:
    """Find what to drop of the oldest transitions; raises apsw.Error.

    They end before a seal. Where none comes for long, in what an earlier release wrote or before retention
    was configured, they end anywhere, and the checkpoint's seal is to be added to the chain. Nothing is
    dropped when one of them is damaged: it stays for the offline verifier to name, and the next step is due
    as if the newest were the oldest.
    """
    try:
        return _find_step(connection, retention, newest_seq, now_us, bodies)
    except (RemoteProtocolError, OSError, _Damaged):
        return Step(None, newest_seq, now_us)


class _Damaged(Exception):
    """One of what is to be dropped."""


def _find_step(
    connection: apsw.Connection, retention: Retention, newest_seq: int, now_us: int, bodies: BodyFiles
) -> Step:
    verifier = ChainVerifier(read_checkpoint(connection))
    first_seq, place, octets = verifier.seq + 1, b"", 0
    step: Step | None = None
    for seq, hash_, stored in _oldest(connection, retention.step_events * _LOOK_STEPS):
        body = bodies.whole(stored)
        transition = decode(body)
        here = seq, transition.at_us
        if seq > first_seq and _seals(transition) == verifier.seq:
            step = Step(verifier.checkpoint(), *here, last_place=place)
        match _enough(retention.drops(*here, newest_seq, now_us), seq - first_seq, octets, step, retention):
            case "step":
                return step or retention.later(*here, newest_seq, now_us)
            case "unsealed":
                return Step(verifier.checkpoint(), *here, in_chain=False, last_place=place)
        octets += len(body)
        if verifier.feed(seq, hash_, body):
            raise _Damaged
        place = stored if is_place(stored) else place
    return step or retention.later(*here, newest_seq, now_us)


def _enough(
    droppable: bool, count: int, octets: int, step: Step | None, retention: Retention
) -> Literal["step", "unsealed", "more"]:
    """Say whether to look no further: at what can't be dropped, or with enough in the hands."""
    if not droppable or (step and (count >= retention.step_events or octets > _STEP_BYTES)):
        return "step"
    full = count >= retention.step_events * _LOOK_STEPS or octets > _LOOK_BYTES
    return "unsealed" if full and count else "more"


def _oldest(connection: apsw.Connection, count: int) -> Iterator[Row]:
    query = "SELECT seq, hash, body FROM chain ORDER BY seq LIMIT ?"
    return cast(Iterator[Row], connection.execute(query, (count + 1,)))


def _seals(transition: Transition) -> int | None:
    return transition.input.seq if isinstance(transition.input, Seal) else None


def seal_entry(checkpoint: Checkpoint, at_us: int, state_hash: bytes | None) -> Entry:
    """Return the transition that vouches for a checkpoint; `state_hash` is the current state's."""
    seal = Seal(checkpoint.seq, seal_checkpoint(encode_checkpoint(checkpoint)))
    return Entry(at_us, "seal", 0, seal, "ok", (), state_hash)


def head_checkpoint(before: Contents) -> Checkpoint:
    """Return the checkpoint after the head."""
    ledger = before.ledger
    return Checkpoint(
        before.actor,
        before.head.seq,
        before.head.hash,
        before.at_us,
        ledger.state_hash,
        tuple(sorted(ledger.open)),
        ledger.last_connection,
        ledger.initialised,
    )


def _move_snapshot(connection: apsw.Connection, checkpoint: Checkpoint) -> None:
    """Let the newest dropped snapshot stand for the checkpoint's state when it still is that state.

    The first instance after the checkpoint may have been recorded without a snapshot because of it.
    """
    newest = "SELECT seq, state FROM snapshot WHERE seq <= ? ORDER BY seq DESC LIMIT 1"
    row = cast(tuple[int, bytes | None] | None, connection.execute(newest, (checkpoint.seq,)).get)
    kept = row is not None and hash_state(row[1]) == checkpoint.state_hash
    if kept and row is not None:
        connection.execute("DELETE FROM snapshot WHERE seq < ?", (row[0],))
        connection.execute("UPDATE snapshot SET seq = ? WHERE seq = ?", (checkpoint.seq, row[0]))
    else:
        connection.execute("DELETE FROM snapshot WHERE seq <= ?", (checkpoint.seq,))


def hash_state(state: bytes | None) -> bytes | None:
    """Return the state's hash as the chain records it: None where the state is none."""
    return None if state is None else sha256(state).digest()
