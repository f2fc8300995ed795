"""How much of a chain is kept, and the step that drops the rest behind a checkpoint.

A step runs inside the transaction of a commit, is bounded, and verifies what it drops: evidence of damage is
never thrown away.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final, cast

import apsw

from theater_protocol.chain import decode
from theater_protocol.errors import RemoteProtocolError
from theater_protocol.ledger import Checkpoint, decode_checkpoint, encode_checkpoint, seal_checkpoint
from theater_protocol.verifier import ChainVerifier
from theater_supervisor.journal.bodies import BodyFiles, is_place
from theater_supervisor.journal.contents import Row

SLACK_US: Final = 3_600_000_000
_DAY_US: Final = 86_400_000_000
_STEP_BYTES: Final = 8 * 1024 * 1024  # of bodies: to read and hash them takes 10 ms, and others may wait


@dataclass(frozen=True, slots=True)
class Retention:
    """What to keep; None is everything. A transition beyond either bound is dropped, the newest never.

    Dropping happens with a commit, at most `step_events` at a time, fewer large ones. It waits until that
    many are beyond `keep_events` or the oldest is an hour beyond `keep_days`, so that not every commit writes
    a checkpoint.
    """

    keep_events: int | None = None
    keep_days: float | None = None
    step_events: int = 256

    def is_due(self, oldest_seq: int, oldest_at_us: int, newest_seq: int, now_us: int) -> bool:
        """Say whether a step should be taken."""
        by_count = self._first_kept_seq(newest_seq) - oldest_seq >= self.step_events
        return by_count or oldest_at_us < self._first_kept_us(now_us) - SLACK_US

    def drops(self, seq: int, at_us: int, newest_seq: int, now_us: int) -> bool:
        """Say whether a transition is beyond a bound."""
        beyond = seq < self._first_kept_seq(newest_seq) or at_us < self._first_kept_us(now_us)
        return seq < newest_seq and beyond

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


def prune(
    connection: apsw.Connection, retention: Retention, newest_seq: int, now_us: int, bodies: BodyFiles
) -> tuple[int, int]:
    """Drop a step of the oldest transitions; return the oldest left, its seq and its time.

    Call inside a transaction, and `bodies.sweep` after it; raises apsw.Error. Nothing is dropped when one of
    them is damaged: it stays for the offline verifier to name, and the next step is due as if the newest were
    the oldest.
    """
    rows = connection.execute(
        "SELECT seq, hash, body FROM chain ORDER BY seq LIMIT ?", (retention.step_events + 1,)
    )
    oldest = newest_seq, now_us
    try:
        verifier = ChainVerifier(read_checkpoint(connection))
        *candidates, last = cast(list[Row], list(rows))
        last_place, octets = b"", 0
        for seq, hash_, stored in candidates:
            body = bodies.whole(stored)
            oldest = seq, decode(body).at_us
            if not retention.drops(*oldest, newest_seq, now_us) or octets > _STEP_BYTES:
                break
            octets += len(body)
            if verifier.feed(seq, hash_, body):
                return newest_seq, now_us
            last_place = stored if is_place(stored) else last_place
        else:
            oldest = last[0], decode(bodies.whole(last[2])).at_us
    except (RemoteProtocolError, OSError):
        return newest_seq, now_us
    if verifier.seq >= 0:
        _drop(connection, verifier.checkpoint())
        bodies.forget(last_place)
    return oldest


def _drop(connection: apsw.Connection, checkpoint: Checkpoint) -> None:
    body = encode_checkpoint(checkpoint)
    connection.execute("INSERT OR REPLACE INTO checkpoint VALUES (0, ?, ?)", (seal_checkpoint(body), body))
    connection.execute("DELETE FROM chain WHERE seq <= ?", (checkpoint.seq,))
    _move_snapshot(connection, checkpoint)


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
