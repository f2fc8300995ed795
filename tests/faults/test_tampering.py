"""Journals that somebody changed: the verifier names the first bad seq. Journals nobody changed: no alarm."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import cast

import apsw
import pytest

from tests.faults.counts import repeats
from tests.faults.disk import FailingDisk
from tests.unit.journal.model import Script, begin, run, sha
from theater_protocol.chain import Instance, Transition, decode, encode, hash_body
from theater_protocol.ledger import Checkpoint, decode_checkpoint, encode_checkpoint, seal_checkpoint
from theater_protocol.messages import Changed, Unchanged
from theater_protocol.verifier import ChainVerifier
from theater_supervisor.journal.bodies import Bodies, Place, is_place, read_place
from theater_supervisor.journal.contents import Entry
from theater_supervisor.journal.retention import KEEP_ALL, Retention, seal_entry
from theater_supervisor.journal.verify import verify

TAMPERINGS = repeats(1000)
CLEAN_CHAINS = repeats(1000)
RETENTION = Retention(keep_events=30, step_events=10)
DISK = FailingDisk()  # never told to fail: a disk that does not sync is fast


def _journal(path: Path, seed: int, retention: Retention = KEEP_ALL) -> None:
    database = begin(path, retention=retention, disk=DISK)
    run(database, Script(seed), Random(seed).randint(1, 25))
    database.close()


@dataclass(slots=True)
class _Tamperer:
    """One journal's files in the hands of someone with SQL; each method returns the first seq that is bad."""

    sql: apsw.Connection
    random: Random
    bodies: Bodies

    def seqs(self) -> list[int]:
        return self.kept("chain")

    def some_seq(self) -> int:
        return self.random.choice(self.seqs())

    def head(self) -> int:
        return self.seqs()[-1]

    def row(self, seq: int) -> tuple[bytes, bytes]:
        query = "SELECT hash, body FROM chain WHERE seq = ?"
        return cast(tuple[bytes, bytes], self.sql.execute(query, (seq,)).get)

    def transition(self, seq: int) -> Transition:
        return decode(self.bodies.whole(self.row(seq)[1]))

    def elsewhere(self) -> dict[int, Place]:
        """Return the places of the large bodies by seq."""
        stored = {seq: self.row(seq)[1] for seq in self.seqs()}
        return {seq: read_place(one) for seq, one in stored.items() if is_place(one)}

    def kept(self, table: str) -> list[int]:
        return [cast(int, seq) for (seq,) in self.sql.execute(f"SELECT seq FROM {table} ORDER BY seq")]

    def put(self, seq: int, hash_: bytes, body: bytes) -> None:
        self.sql.execute("INSERT OR REPLACE INTO chain VALUES (?, ?, ?)", (seq, hash_, body))

    def flipped(self, blob: bytes) -> bytes:
        bit = self.random.randrange(len(blob) * 8)
        return bytes(byte ^ (1 << bit % 8 if at == bit // 8 else 0) for at, byte in enumerate(blob))

    def flip_number(self, number: int) -> int:
        return number ^ (1 << self.random.randrange(40))

    def flip_body(self) -> int:
        seq = self.some_seq()
        hash_, body = self.row(seq)
        self.put(seq, hash_, self.flipped(body))
        return seq

    def flip_large_body(self) -> int:
        if not (places := self.elsewhere()):
            return self.flip_body()
        seq = self.random.choice(list(places))
        file, at, size = places[seq]
        with self.bodies.path(file).open("r+b") as opened:
            opened.seek(at)
            body = opened.read(size)
            opened.seek(at)
            opened.write(self.flipped(body))
        return seq

    def cut_large_bodies(self) -> int:
        if not (places := self.elsewhere()):
            return self.flip_body()
        seq = self.random.choice(list(places))
        file, at, size = places[seq]
        os.truncate(self.bodies.path(file), at + size - 1)
        return seq

    def delete_large_bodies(self) -> int:
        if not (places := self.elsewhere()):
            return self.flip_body()
        seq = min(places)
        self.bodies.path(places[seq].file).unlink()
        return seq

    def swap_large_bodies(self) -> int:
        if len(places := list(self.elsewhere())) < 2:
            return self.flip_body()
        first, second = sorted(self.random.sample(places, 2))
        (hash_, stored), (other_hash, other_stored) = self.row(first), self.row(second)
        self.put(first, hash_, other_stored)
        self.put(second, other_hash, stored)
        return first

    def flip_hash(self) -> int:
        seq = self.some_seq()
        hash_, body = self.row(seq)
        self.put(seq, self.flipped(hash_), body)
        return seq

    def flip_seq(self) -> int:
        seqs = self.seqs()
        seq, moved = seqs[-1], seqs[-1]
        while moved in seqs:
            seq = self.random.choice(seqs)
            moved = self.flip_number(seq)
        self.sql.execute("UPDATE chain SET seq = ? WHERE seq = ?", (moved, seq))
        return min(seq, moved)

    def flip_recorded_head_seq(self) -> int:
        head = self.head()
        moved = self.flip_number(head)
        self.sql.execute("UPDATE head SET seq = ?", (moved,))
        return min(head, moved) + 1

    def flip_recorded_head(self) -> int:
        hash_, last, initialised = self.sql.execute("SELECT hash, last_connection, initialised FROM head").get
        match self.random.randrange(3):
            case 0:
                hash_ = self.flipped(hash_)
            case 1:
                last = self.flip_number(last)
            case _:
                initialised = self.flip_number(initialised)
        self.sql.execute(
            "UPDATE head SET hash = ?, last_connection = ?, initialised = ?", (hash_, last, initialised)
        )
        return self.head()

    def flip_state(self) -> int:
        state = self.sql.execute("SELECT bytes FROM state").get
        self.sql.execute("UPDATE state SET bytes = ?", (self.flipped(state) if state else b"\x01",))
        return self.head()

    def flip_open_connection(self) -> int:
        connections = [one for (one,) in self.sql.execute("SELECT id FROM connection")]
        if not connections:
            self.sql.execute("INSERT INTO connection VALUES (7)")
        else:
            moved = max(connections) ^ (1 << 41)
            self.sql.execute("UPDATE connection SET id = ? WHERE id = ?", (moved, max(connections)))
        return self.head()

    def flip_snapshot(self) -> int:
        if not self.kept("snapshot"):
            return self.flip_body()
        seq = self.random.choice(self.kept("snapshot"))
        state = self.sql.execute("SELECT state FROM snapshot WHERE seq = ?", (seq,)).get
        self.sql.execute(
            "UPDATE snapshot SET state = ? WHERE seq = ?", (self.flipped(state) if state else b"\x01", seq)
        )
        return seq

    def move_snapshot(self) -> int:
        if not self.kept("snapshot"):
            return self.flip_body()
        seq = self.kept("snapshot")[-1]
        moved = seq ^ (1 << 41)
        self.sql.execute("UPDATE snapshot SET seq = ? WHERE seq = ?", (moved, seq))
        return 0 if seq == 0 else moved

    def flip_quarantine(self) -> int:
        if not self.kept("quarantine"):
            self.sql.execute("INSERT INTO quarantine SELECT seq, hash, body FROM chain ORDER BY seq LIMIT 1")
            return self.seqs()[0]
        seq = self.random.choice(self.kept("quarantine"))
        hash_, body = self.sql.execute("SELECT hash, body FROM quarantine WHERE seq = ?", (seq,)).get
        hash_, body = self.random.choice([(self.flipped(hash_), body), (hash_, self.flipped(body))])
        self.sql.execute("UPDATE quarantine SET hash = ?, body = ? WHERE seq = ?", (hash_, body, seq))
        return seq

    def delete_quarantined(self) -> int:
        rows = [seq for seq in self.kept("quarantine") if seq in self.seqs()]
        if not rows:
            return self.flip_quarantine()
        self.sql.execute("DELETE FROM quarantine WHERE seq = ?", (rows[0],))
        return rows[0]

    def flip_checkpoint(self) -> int:
        seal, body = self.sql.execute("SELECT seal, body FROM checkpoint").get
        seal, body = self.random.choice([(self.flipped(seal), body), (seal, self.flipped(body))])
        self.sql.execute("UPDATE checkpoint SET seal = ?, body = ?", (seal, body))
        return self.seqs()[0] - 1

    def checkpoint(self) -> Checkpoint:
        return decode_checkpoint(self.sql.execute("SELECT body FROM checkpoint").get)

    def put_checkpoint(self, checkpoint: Checkpoint) -> None:
        body = encode_checkpoint(checkpoint)
        row = seal_checkpoint(body), body
        self.sql.execute("INSERT OR REPLACE INTO checkpoint VALUES (0, ?, ?)", row)

    def forge_checkpoint(self) -> int:
        """Put another checkpoint in the place of the one there is, with all else as it may be."""
        before = self.checkpoint()
        change = self.random.choice(
            [
                {"actor": "another"},
                {"at_us": before.at_us + 1},
                {"state_hash": bytes(32)},
                {"open_connections": (*before.open_connections, before.last_connection + 1)},
                {"initialised": not before.initialised},
            ]
        )
        last = before.last_connection + ("open_connections" in change)
        self.put_checkpoint(replace(before, last_connection=last, **change))
        return before.seq + 1

    def delete_checkpoint(self) -> int:
        self.sql.execute("DELETE FROM checkpoint")
        return 0

    def drop_behind_a_checkpoint(self) -> int:
        """Drop the oldest transitions as retention does, behind an honest checkpoint that has no seal."""
        seqs = self.seqs()
        rows = self.sql.execute("SELECT seq, hash, body FROM chain ORDER BY seq").fetchall()
        stored = self.sql.execute("SELECT body FROM checkpoint").get
        verifier = ChainVerifier(decode_checkpoint(stored) if stored else None)
        cut = self.random.randrange(1, len(seqs))
        for seq, hash_, body in rows[:cut]:
            assert verifier.feed(seq, hash_, self.bodies.whole(body)) is None
        if self.transition(seqs[cut]).kind == "seal":
            return self.flip_body()
        self.put_checkpoint(verifier.checkpoint())
        self.sql.execute("DELETE FROM chain WHERE seq < ?", (seqs[cut],))
        self.sql.execute("DELETE FROM snapshot WHERE seq < ?", (seqs[cut],))
        return seqs[cut] - 1

    def delete_row(self) -> int:
        seq = self.some_seq()
        self.sql.execute("DELETE FROM chain WHERE seq = ?", (seq,))
        return seq

    def delete_tail(self) -> int:
        seq = self.some_seq()
        self.sql.execute("DELETE FROM chain WHERE seq >= ?", (seq,))
        return seq

    def delete_state(self) -> int:
        self.sql.execute("DELETE FROM state")
        return self.head()

    def delete_recorded_head(self) -> int:
        self.sql.execute("DELETE FROM head")
        return self.head()

    def swap(self) -> int:
        first, second = sorted(self.random.sample(self.seqs(), 2))
        first_row, second_row = self.row(first), self.row(second)
        self.put(first, *second_row)
        self.put(second, *first_row)
        return first

    def insert_before(self) -> int:
        first = self.seqs()[0]
        self.put(first - 1, *self.row(first))
        return first - 1

    def insert_between(self) -> int:
        seq = self.some_seq()
        self.sql.execute("UPDATE chain SET seq = -1 - seq WHERE seq >= ?", (seq,))
        self.sql.execute("UPDATE chain SET seq = -seq WHERE seq < 0")
        self.put(seq, *self.row(seq + 1))
        return seq + 1

    def replay_at_the_end(self) -> int:
        head = self.head()
        self.put(head + 1, *self.row(self.some_seq()))
        return head + 1

    def forge_at_the_end(self) -> int:
        head = self.head()
        transition = self.transition(head)
        body = encode(transition._replace(seq=head + 1, prev=self.row(head)[0]))
        self.put(head + 1, hash_body(body), body)
        return head + 1

    def replace_with_new_hash(self) -> int:
        seq = self.some_seq()
        transition = self.transition(seq)
        body = encode(transition._replace(at_us=transition.at_us + 1))
        self.put(seq, hash_body(body), body)
        return seq if seq == self.head() else seq + 1


ALWAYS: list[Callable[[_Tamperer], int]] = [
    _Tamperer.flip_body,
    _Tamperer.flip_large_body,
    _Tamperer.cut_large_bodies,
    _Tamperer.delete_large_bodies,
    _Tamperer.swap_large_bodies,
    _Tamperer.flip_hash,
    _Tamperer.flip_seq,
    _Tamperer.flip_recorded_head_seq,
    _Tamperer.flip_recorded_head,
    _Tamperer.flip_state,
    _Tamperer.flip_open_connection,
    _Tamperer.flip_snapshot,
    _Tamperer.move_snapshot,
    _Tamperer.flip_quarantine,
    _Tamperer.delete_quarantined,
    _Tamperer.drop_behind_a_checkpoint,
    _Tamperer.delete_row,
    _Tamperer.delete_tail,
    _Tamperer.delete_state,
    _Tamperer.delete_recorded_head,
    _Tamperer.swap,
    _Tamperer.insert_before,
    _Tamperer.insert_between,
    _Tamperer.replay_at_the_end,
    _Tamperer.forge_at_the_end,
    _Tamperer.replace_with_new_hash,
]
WITH_CHECKPOINT: list[Callable[[_Tamperer], int]] = [
    _Tamperer.flip_checkpoint,
    _Tamperer.forge_checkpoint,
    _Tamperer.delete_checkpoint,
]


def _tamper(path: Path, tamper: Callable[[_Tamperer], int], random: Random) -> int:
    sql = apsw.Connection(str(path))
    sql.execute("BEGIN")
    bad_seq = tamper(_Tamperer(sql, random, Bodies(path)))
    sql.execute("COMMIT")
    sql.close()
    return bad_seq


@pytest.mark.campaign
def test_every_tampering_is_found_at_its_seq(tmp_path: Path) -> None:
    """Whatever was flipped, deleted, swapped, inserted or replayed, in any table: the bad seq is named."""
    for number in range(TAMPERINGS):
        random = Random(number)
        path = tmp_path / str(number) / "journal.db"
        _journal(path, number, random.choice((KEEP_ALL, RETENTION)))
        verdict = verify(path)
        assert verdict.fault is None
        choices = ALWAYS + (WITH_CHECKPOINT if verdict.first_seq else [])
        tamper = choices[number % len(choices)]
        if verdict.events < 2:
            tamper = _Tamperer.flip_body
        bad_seq = _tamper(path, tamper, random)
        fault = verify(path).fault
        assert fault is not None, (number, tamper)
        assert fault.seq == bad_seq, (number, tamper, fault)


@pytest.mark.campaign
def test_clean_journals_raise_no_alarm(tmp_path: Path) -> None:
    """Random courses of events, with and without retention, verify from the first kept seq to the head."""
    for number in range(CLEAN_CHAINS):
        path = tmp_path / str(number) / "journal.db"
        _journal(path, number, RETENTION if number % 2 else KEEP_ALL)
        verdict = verify(path)
        assert verdict.fault is None, (number, verdict)
        assert verdict.events == verdict.head.seq - verdict.first_seq + 1


def test_a_cut_tail_shows_against_a_noted_head(tmp_path: Path) -> None:
    """A tail that was cut off with all else put right is seen only against a head noted before."""
    path = tmp_path / "journal.db"
    database = begin(path, disk=DISK)
    run(database, Script(3), 5)
    earlier = database.contents
    database.close()
    copy = path.read_bytes()
    database = begin(path, disk=DISK)
    run(database, Script(4), 5)
    noted = database.contents.head.hash
    database.close()
    assert verify(path, noted).fault is None
    assert verify(path, earlier.head.hash).fault is None
    path.write_bytes(copy)
    assert verify(path).fault is None
    fault = verify(path, noted).fault
    assert fault is not None
    assert fault.seq == earlier.head.seq
    assert noted.hex() in fault.what


def _long(path: Path, retention: Retention = KEEP_ALL) -> bytes:
    """Write a journal of some batches; return its head."""
    database = begin(path, retention=retention, disk=DISK)
    run(database, Script(6), 40)
    database.close()
    return database.contents.head.hash


def _forge(path: Path, at: int, *, seal: bool) -> None:
    """Put a state of one's own after transition `at`: a checkpoint there, a transition or two behind it."""
    evil = b"balance=1000000"
    sql = apsw.Connection(str(path))
    sql.execute("BEGIN")
    forger = _Tamperer(sql, Random(1), Bodies(path))
    hash_ = forger.row(at)[0]
    checkpoint = Checkpoint("chat", at, hash_, 30, sha(evil), (1,), 1, True)
    entries = [Entry(31, "text", 1, "balance?", "ok", (), sha(evil))]
    if seal:
        entries.insert(0, seal_entry(checkpoint, 31, sha(evil)))
    for table in ("chain", "snapshot", "connection", "quarantine"):
        sql.execute(f"DELETE FROM {table}")
    forger.put_checkpoint(checkpoint)
    seq = at
    for entry in entries:
        seq += 1
        body = encode(Transition(seq, hash_, *entry))
        hash_ = hash_body(body)
        forger.put(seq, hash_, body)
    sql.execute("UPDATE head SET seq = ?, hash = ?, last_connection = 1, initialised = 1", (seq, hash_))
    sql.execute("UPDATE state SET bytes = ?", (evil,))
    sql.execute("INSERT INTO connection VALUES (1)")
    sql.execute("COMMIT")
    sql.close()


@pytest.mark.parametrize("retention", [KEEP_ALL, RETENTION], ids=["no retention", "retention"])
@pytest.mark.parametrize("seal", [False, True], ids=["no seal", "its own seal"])
def test_a_forged_checkpoint_does_not_pass_for_a_noted_head(
    tmp_path: Path, retention: Retention, seal: bool
) -> None:
    """Whoever puts a checkpoint with the noted hash under a state of his own is found out."""
    path = tmp_path / "journal.db"
    noted = _long(path, retention)
    _forge(path, verify(path).head.seq, seal=seal)
    assert verify(path, noted).fault is not None
    assert (verify(path).fault is None) is seal  # all of it written anew: only a noted head tells


def _as_an_earlier_release_left_it(path: Path) -> Checkpoint:
    """Drop a journal's oldest transitions behind a checkpoint without a seal."""
    sql = apsw.Connection(str(path))
    forger = _Tamperer(sql, Random(3), Bodies(path))
    forger.drop_behind_a_checkpoint()
    checkpoint = forger.checkpoint()
    sql.close()
    return checkpoint


def test_a_checkpoint_of_an_earlier_release_is_sealed_with_the_next_commit(tmp_path: Path) -> None:
    """Until then nothing vouches for it, nor does a head noted before; one noted later does."""
    path = tmp_path / "journal.db"
    noted = _long(path)
    checkpoint = _as_an_earlier_release_left_it(path)
    fault = verify(path).fault
    assert fault is not None
    assert fault.seq == checkpoint.seq
    assert "earlier release" in fault.what
    database = begin(path, disk=DISK)
    instance = Entry(database.contents.at_us, "instance", 0, Instance(bytes(32), bytes(32)), "ok", (), None)
    database.commit([instance._replace(state_hash=database.contents.ledger.state_hash)], Unchanged())
    database.close()
    assert verify(path).fault is None
    assert verify(path, database.contents.head.hash).fault is None
    fault = verify(path, noted).fault
    assert fault is not None
    assert "note a newer head" in fault.what


def test_a_history_without_seals_is_dropped_behind_later_ones(tmp_path: Path) -> None:
    """Retention that is configured late gets through what was written before, and what is left verifies."""
    path = tmp_path / "journal.db"
    _long(path)
    database = begin(path, retention=Retention(keep_events=8, step_events=2), disk=DISK)
    run(database, Script(8), 40)
    database.close()
    verdict = verify(path, database.contents.head.hash)
    assert verdict.fault is None
    assert verdict.first_seq > verdict.head.seq - 30


def test_a_state_that_was_set_has_its_hash(tmp_path: Path) -> None:
    """An operator's state is in the chain itself; one that is another than its hash says is found."""
    path = tmp_path / "journal.db"
    _long(path)
    database = begin(path, disk=DISK)
    setting = Entry(database.contents.at_us, "state", 0, b"mended", "ok", (), sha(b"mended"))
    database.commit([setting], Changed(b"mended"))
    database.close()
    assert verify(path).fault is None
    body = encode(
        Transition(database.contents.head.seq, decode(_head_body(path)).prev, *setting._replace(input=b"x"))
    )
    with apsw.Connection(str(path)) as sql:
        sql.execute(
            "UPDATE chain SET hash = ?, body = ? WHERE seq = ?",
            (hash_body(body), body, database.contents.head.seq),
        )
        sql.execute("UPDATE head SET hash = ?", (hash_body(body),))
    sql.close()
    fault = verify(path).fault
    assert fault is not None
    assert "state that was set" in fault.what


def _head_body(path: Path) -> bytes:
    with apsw.Connection(str(path)) as sql:
        return cast(bytes, sql.execute("SELECT body FROM chain ORDER BY seq DESC LIMIT 1").get)
