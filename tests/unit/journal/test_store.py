"""The journal: what it begins with, what a commit does, what it refuses, and who may read along."""

import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio

from tests.unit.journal.model import ACTOR, COMPONENT, START_US, Model, Script, begin, run, sha
from theater_protocol.chain import Genesis, Instance, decode
from theater_protocol.errors import LocalProtocolError
from theater_protocol.messages import Changed, Reply, Unchanged
from theater_supervisor.errors import SupervisorError
from theater_supervisor.journal.contents import Contents, Origin
from theater_supervisor.journal.database import Database
from theater_supervisor.journal.reader import quarantined, read, rows
from theater_supervisor.journal.retention import Retention
from theater_supervisor.journal.store import Entry, Journal, JournalFailed, JournalRefused
from theater_supervisor.journal.verify import verify

INSTANCE = Entry(START_US + 1, "instance", 0, Instance(bytes(32), COMPONENT), "ok", (), None)
CONNECT = Entry(START_US + 2, "connect", 1, None, "ok", (Reply("text", "hello"),), sha(b"1"))
POISON = Entry(START_US + 3, "binary", 1, b"\xde\xad", "poison", (), sha(b"1"))
CLOSE = Entry(START_US + 4, "close", 1, None, "ok", (), sha(b"1"))


def in_trio(work: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine within a deadline."""

    async def limited() -> None:
        with trio.fail_after(30):
            await work()

    trio.run(limited)


async def open_journal(path: Path, *, actor: str = ACTOR, initial_state: bytes | None = None) -> Journal:
    """Open a journal with the durability that manifests default to."""
    return await Journal.open(
        path,
        actor=actor,
        component_sha256=COMPONENT,
        initial_state=initial_state,
        durability="power-loss",
    )


@pytest.mark.parametrize("initial_state", [None, b"", b"{}"], ids=repr)
def test_a_new_journal_begins_with_its_genesis(tmp_path: Path, initial_state: bytes | None) -> None:
    """Seq 0 names actor, component and initial state; nothing is open, init is still to be called."""
    path = tmp_path / "data" / "chat" / "journal.db"

    async def work() -> None:
        journal = await open_journal(path, initial_state=initial_state)
        assert (journal.state, journal.state_hash) == (initial_state, sha(initial_state))
        assert (journal.head.seq, journal.open_connections, journal.next_connection) == (0, (), 1)
        assert not journal.initialised
        await journal.aclose()

    in_trio(work)
    ((hash_, genesis),) = rows(path)
    assert genesis.input == Genesis(ACTOR, COMPONENT)
    assert genesis.state_hash == sha(initial_state)
    assert verify(path, hash_).fault is None


def test_a_commit_is_there_when_the_journal_is_opened_again(tmp_path: Path) -> None:
    """Head, state, ledger and time survive; the state a new component starts with is the old one's."""
    path = tmp_path / "journal.db"

    async def work() -> None:
        journal = await open_journal(path)
        await journal.commit([INSTANCE, CONNECT], Changed(b"1"))
        head = journal.head
        await journal.aclose()
        journal = await open_journal(path, initial_state=b"ignored: there is a state already")
        assert (journal.head, journal.state, journal.last_at_us) == (head, b"1", CONNECT.at_us)
        assert (journal.open_connections, journal.next_connection, journal.initialised) == ((1,), 2, True)
        await journal.commit([POISON, CLOSE], Unchanged())
        assert (journal.state, journal.open_connections, journal.next_connection) == (b"1", (), 2)
        await journal.aclose()
        await journal.aclose()

    in_trio(work)
    assert [one.kind for _, one in rows(path, since_seq=2)] == ["connect", "binary", "close"]
    assert verify(path).fault is None


def test_a_backup_takes_the_place_of_the_journal(tmp_path: Path) -> None:
    """A copy that SQLite made of a live journal opens, goes on, and is written ahead again."""
    database = begin(tmp_path / "journal.db")
    model = run(database, Script(6), 5)
    backup = tmp_path / "backup.db"
    sql = apsw.Connection(str(tmp_path / "journal.db"))
    sql.execute("VACUUM INTO ?", (str(backup),))
    sql.close()
    database.close()
    database = begin(backup)
    assert Model.of(database.contents) == model
    with read(backup) as held:
        before = held.head()
        run(database, Script(7), 5)
        assert held.head() == before
    database.close()
    assert verify(backup).fault is None


def test_an_init_that_succeeded_is_remembered(tmp_path: Path) -> None:
    """A failed init leaves the actor to be initialised, a successful one does not."""
    path = tmp_path / "journal.db"
    init = Entry(START_US + 1, "init", 0, ACTOR, "trap", (), None)

    async def work() -> None:
        journal = await open_journal(path)
        await journal.commit([init], Unchanged())
        assert (journal.head.seq, journal.initialised) == (1, False)
        await journal.commit([init._replace(outcome="ok", state_hash=sha(b"1"))], Changed(b"1"))
        assert journal.initialised
        await journal.aclose()
        journal = await open_journal(path)
        assert journal.initialised
        await journal.aclose()

    in_trio(work)


def test_an_empty_batch_changes_nothing(tmp_path: Path) -> None:
    """Committing no entries is allowed and does nothing."""
    database = begin(tmp_path / "journal.db")
    database.commit([], Unchanged())
    assert database.contents.head.seq == 0
    database.close()


WRONG: dict[str, tuple[list[Entry], Changed | Unchanged]] = {
    "connect twice": ([CONNECT, CONNECT], Changed(b"1")),
    "event of a closed connection": ([CONNECT, CLOSE, POISON], Changed(b"1")),
    "err that changes the state": ([CONNECT._replace(outcome="err", replies=())], Changed(b"1")),
    "instance that changes the state": ([INSTANCE._replace(state_hash=sha(b"1"))], Changed(b"1")),
    "unchanged with another hash": ([CONNECT], Unchanged()),
    "state without a hash": ([INSTANCE], Changed(b"1")),
    "hash without a state": ([CONNECT], Changed(None)),
    "input of another kind": ([CONNECT._replace(input="text")], Changed(b"1")),
}


@pytest.mark.parametrize(("entries", "update"), WRONG.values(), ids=WRONG.keys())
def test_entries_that_cannot_follow_are_refused_whole(
    tmp_path: Path, entries: list[Entry], update: Changed | Unchanged
) -> None:
    """A caller's mistake raises before anything is written, and the journal works on."""
    path = tmp_path / "journal.db"
    database = begin(path)
    with pytest.raises(LocalProtocolError):
        database.commit(entries, update)
    assert Model.of(database.contents) == Model()
    database.commit([INSTANCE, CONNECT], Changed(b"1"))
    database.close()
    assert verify(path).events == 3


def test_a_quarantined_delivery_outlives_retention(tmp_path: Path) -> None:
    """Its payload is kept for the operator when its transition is dropped."""
    path = tmp_path / "journal.db"
    database = begin(path, retention=Retention(keep_events=2, step_events=2))
    database.commit([INSTANCE, CONNECT, POISON], Changed(b"1"))
    for number in range(10):
        ping = Entry(START_US + 10 + number, "ping", 1, b"", "ok", (), sha(b"1"))
        database.commit([ping], Unchanged())
    database.close()
    (kept,) = quarantined(path)
    assert (kept.seq, kept.input, kept.outcome) == (4, b"\xde\xad", "poison")
    verdict = verify(path)
    assert verdict.fault is None
    assert verdict.first_seq > 4


def test_snapshots_are_the_states_that_instances_begin_with(tmp_path: Path) -> None:
    """The initial state and that of the newest instances are kept, equal ones in a row only once."""
    path = tmp_path / "journal.db"
    database = begin(path)
    database.commit([INSTANCE, CONNECT], Changed(b"1"))
    for number in range(2, 14):
        same = INSTANCE._replace(state_hash=sha(database.contents.state))
        database.commit([same], Unchanged())
        database.commit([same], Unchanged())
        state = b"%d" % number
        database.commit([Entry(START_US, "ping", 1, b"", "ok", (), sha(state))], Changed(state))
    database.close()
    with read(path) as journal:
        states = list(journal.snapshots().values())
    assert states == [None, *(b"%d" % number for number in range(5, 13))]
    assert verify(path).fault is None


def test_a_journal_of_another_actor_is_refused(tmp_path: Path) -> None:
    """The error names both actors; the file stays as it is and opens for its own actor."""
    path = tmp_path / "journal.db"
    begin(path).close()
    before = path.read_bytes()

    async def work() -> None:
        with pytest.raises(JournalRefused, match="'chat', not of 'echo'") as caught:
            await open_journal(path, actor="echo")
        assert caught.value.exit_status == 65
        assert isinstance(caught.value, SupervisorError)

    in_trio(work)
    assert path.read_bytes() == before


def _another_version(path: Path) -> None:
    begin(path).close()
    with apsw.Connection(str(path)) as sql:
        sql.pragma("user_version", 4)
    sql.close()


def _another_database(path: Path) -> None:
    with apsw.Connection(str(path)) as sql:
        sql.execute("CREATE TABLE notes (text)")
    sql.close()


def _not_a_database(path: Path) -> None:
    path.write_text("dear diary, " * 1000)


def _emptied_beside_its_log(path: Path) -> None:
    path.write_bytes(b"")
    path.with_name(path.name + "-wal").write_bytes(b"transitions")


def _another_head(path: Path) -> None:
    database = begin(path)
    run(database, Script(1), 3)
    database.close()
    with apsw.Connection(str(path)) as sql:
        sql.execute("DELETE FROM chain WHERE seq = (SELECT seq FROM head)")
    sql.close()


def _another_state(path: Path) -> None:
    begin(path).close()
    with apsw.Connection(str(path)) as sql:
        sql.execute("UPDATE state SET bytes = x'00'")
    sql.close()


def _no_state(path: Path) -> None:
    begin(path).close()
    with apsw.Connection(str(path)) as sql:
        sql.execute("DELETE FROM state")
    sql.close()


FOREIGN = {
    "another version": (_another_version, "schema version 4"),
    "another database": (_another_database, "not a journal"),
    "not a database": (_not_a_database, "damaged"),
    "emptied beside its log": (_emptied_beside_its_log, "holds transitions"),
    "head cut off": (_another_head, "not the head that was recorded"),
    "another state": (_another_state, "damaged"),
    "no state": (_no_state, "missing"),
}


@pytest.mark.parametrize(("make", "what"), FOREIGN.values(), ids=FOREIGN.keys())
def test_a_file_that_is_not_a_sound_journal_is_refused_and_kept(
    tmp_path: Path, make: Callable[[Path], None], what: str
) -> None:
    """It is never overwritten: every byte stays, and the error says what is wrong and how to mend it."""
    path = tmp_path / "journal.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(JournalRefused, match=what) as caught:
        begin(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_a_journal_that_vanished_is_not_begun_anew_by_recovery(tmp_path: Path) -> None:
    """Recovery reopens what was there; a missing file is a failure that persists, not a new journal."""
    path = tmp_path / "journal.db"
    database = begin(path)
    for file in tmp_path.iterdir():
        file.unlink()
    with pytest.raises(JournalFailed, match="cannot be opened"):
        database.recover()
    assert list(tmp_path.iterdir()) == []
    database.close()


def test_a_place_that_cannot_be_written_is_a_named_failure(tmp_path: Path) -> None:
    """A file where the directory should be: the error names the cause and the place."""
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(JournalFailed, match=f"creating {tmp_path}/data/chat"):
        begin(tmp_path / "data" / "chat" / "journal.db")


def test_a_live_journal_can_be_read_and_verified(tmp_path: Path) -> None:
    """Readers see whole commits only, never disturb the writer, and may come and go while it writes."""
    path = tmp_path / "journal.db"

    async def work() -> None:
        journal = await open_journal(path)
        ends = {0}
        model = Model(at_us=journal.last_at_us)

        async def write() -> None:
            nonlocal model
            for batch in Script(5).batches(model, 60):
                ends.add(batch.after.seq)
                await journal.commit(batch.entries, batch.update)
            done.set()

        async def look() -> None:
            while not done.is_set():
                verdict = await trio.to_thread.run_sync(verify, path)
                assert verdict.fault is None
                assert verdict.head.seq in ends

        done = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            nursery.start_soon(look)
        with read(path) as held:
            before = held.head()
            await journal.commit([INSTANCE._replace(state_hash=journal.state_hash)], Unchanged())
            assert held.head() == before
        assert verify(path).head.seq == journal.head.seq
        await journal.aclose()

    in_trio(work)


def test_a_cancelled_commit_happens_whole_or_not_at_all(tmp_path: Path) -> None:
    """Cancelled before its turn it never happens; once begun it ends, and the properties tell."""
    path = tmp_path / "journal.db"

    async def work() -> None:
        journal = await open_journal(path)
        with trio.CancelScope() as scope:
            scope.cancel()
            await journal.commit([INSTANCE], Unchanged())
        assert journal.head.seq == 0
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(journal.commit, [INSTANCE], Unchanged())
                await trio.lowlevel.checkpoint()
                scope.cancel()
        seq = journal.head.seq
        with trio.CancelScope() as scope:
            scope.cancel()
            await journal.aclose()
        assert verify(path).head.seq == seq

    in_trio(work)


def test_reading_what_is_not_there_says_so(tmp_path: Path) -> None:
    """A missing journal, an empty one and a damaged body are named with their file."""
    path = tmp_path / "journal.db"
    with pytest.raises(JournalRefused, match="no such journal"):
        verify(path)
    path.touch()
    with pytest.raises(JournalRefused, match="never started"):
        verify(path)
    path.unlink()
    begin(path).close()
    with apsw.Connection(str(path)) as sql:
        sql.execute("UPDATE chain SET body = x'00'")
    sql.close()
    with pytest.raises(JournalRefused, match="seq 0"):
        list(rows(path))


def test_bytes_changed_in_the_file_are_reported(tmp_path: Path) -> None:
    """Damage below SQL is a refusal or a fault, never a crash and never silence."""
    path = tmp_path / "journal.db"
    database = begin(path)
    run(database, Script(2), 30)
    database.close()
    with read(path) as journal:
        body = next(row[2] for row in journal.rows(since_seq=10))
    sound = path.read_bytes()
    path.write_bytes(sound.replace(body, bytes([body[0] ^ 1]) + body[1:]))
    fault = verify(path).fault
    assert fault is not None
    assert fault.seq == decode(body).seq
    path.write_bytes(sound[: len(sound) // 2])
    with pytest.raises(JournalRefused, match="damaged"):
        verify(path)


def test_the_file_stops_growing_under_retention(tmp_path: Path) -> None:
    """Dropped transitions make room for new ones; what is kept stays within the bound and verifies."""
    path = tmp_path / "journal.db"
    database = begin(path, durability="process-crash", retention=Retention(keep_events=50, step_events=16))
    script = Script(9)
    sizes = []
    model = Model()
    for _ in range(4):
        for batch in script.batches(model, 150):
            database.commit(batch.entries, batch.update)
            model = batch.after
        database.close()
        sizes.append(path.stat().st_size)
        database = begin(
            path, durability="process-crash", retention=Retention(keep_events=50, step_events=16)
        )
    database.close()
    verdict = verify(path)
    assert verdict.fault is None
    assert 50 <= verdict.events <= 50 + 2 * (16 + 6)
    quarantine_bytes = sum(len(body) for _, body in _quarantine(path)) + 4096 * 20
    assert sizes[-1] <= sizes[0] + quarantine_bytes


def _quarantine(path: Path) -> list[tuple[bytes, bytes]]:
    with read(path) as journal:
        return list(journal.quarantined().values())


def test_days_are_kept_by_the_recorded_time(tmp_path: Path) -> None:
    """Transitions older than keep_days are dropped with a later commit; the newest is kept however old."""
    path = tmp_path / "journal.db"
    day_us = 86_400_000_000
    retention = Retention(keep_days=1.5)
    database = begin(path, retention=retention)
    for day in range(6):
        entry = INSTANCE._replace(at_us=START_US + day * day_us)
        database.commit([entry], Unchanged())
    database.close()
    verdict = verify(path)
    assert verdict.fault is None
    kept = [(one.kind, (one.at_us - START_US) // day_us) for _, one in rows(path, verdict.first_seq)]
    assert kept == [("seal", 4), ("instance", 4), ("seal", 5), ("instance", 5)]


def test_retention_keeps_the_evidence_of_damage(tmp_path: Path) -> None:
    """A transition that does not verify is not dropped: the verifier still finds it."""
    path = tmp_path / "journal.db"
    database = begin(path)
    run(database, Script(4), 10)
    database.close()
    with apsw.Connection(str(path)) as sql:
        sql.execute("UPDATE chain SET body = x'00' WHERE seq = 5")
    sql.close()
    database = begin(path, retention=Retention(keep_events=1, step_events=8))
    run(database, Script(5), 20)
    database.close()
    fault = verify(path).fault
    assert fault is not None
    assert fault.seq == 5


def test_days_are_not_counted_by_a_clock_that_may_be_wrong(tmp_path: Path) -> None:
    """A jump of ten years drops nothing while the clock is not settled; once it is, keep_days holds again."""
    settled = False
    path = tmp_path / "journal.db"
    database = Database(path, retention=Retention(keep_days=30), clock_settled=lambda: settled)
    database.open(Origin(ACTOR, COMPONENT, None, START_US))
    for second in range(20):
        database.commit([INSTANCE._replace(at_us=START_US + second)], Unchanged())
    later_us = START_US + 315_360_000_000_000
    for second in range(3):
        database.commit([INSTANCE._replace(at_us=later_us + second)], Unchanged())
    assert verify(path).first_seq == 0
    settled = True
    database.commit([INSTANCE._replace(at_us=later_us + 4)], Unchanged())
    database.close()
    verdict = verify(path)
    assert verdict.fault is None
    assert verdict.first_seq > 20


@pytest.mark.parametrize("replies", [1, 500, 2000, 10_000])
def test_many_replies_are_linked_in_a_thread(
    replies: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty ones weigh something too: the event loop makes as many ready as it takes a millisecond for."""
    threads: list[bool] = []
    stage = Database.stage

    def staged(self: Database, *batch: Any, patient: bool = False) -> Contents:  # noqa: ANN401 - stage's own
        threads.append(threading.current_thread() is not threading.main_thread())
        return stage(self, *batch, patient=patient)

    async def work() -> None:
        journal = await open_journal(tmp_path / "data" / "chat" / "journal.db")
        monkeypatch.setattr(Database, "stage", staged)
        await journal.commit((INSTANCE,), Unchanged())
        many = Entry(START_US + 2, "connect", 1, None, "ok", (Reply("text", ""),) * replies, None)
        await journal.commit((many,), Unchanged())
        await journal.aclose()

    in_trio(work)
    assert threads == [False, replies > 512]
