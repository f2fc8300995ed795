"""Journals that others copied, cut or hold a lock on: refused, warned of, or waited for off the loop."""

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import apsw
import pytest
import trio

from tests.unit.journal.model import ACTOR, COMPONENT, START_US
from theater_protocol import cbor
from theater_protocol.errors import RemoteProtocolError
from theater_protocol.messages import UNCHANGED
from theater_supervisor.journal import schema
from theater_supervisor.journal.bodies import LARGE_BYTES, BodyFiles
from theater_supervisor.journal.contents import Entry, Origin
from theater_supervisor.journal.database import Database
from theater_supervisor.journal.errors import JournalFailed, JournalRefused
from theater_supervisor.journal.schema import Durability
from theater_supervisor.journal.store import Journal

CONNECT = Entry(START_US + 1, "connect", 1, None, "ok", (), None)
LARGE = Entry(START_US + 2, "binary", 1, bytes(LARGE_BYTES), "ok", (), None)
ORIGIN = Origin(ACTOR, COMPONENT, None, START_US)


def opened(
    path: Path,
    files: Callable[[Path], BodyFiles] = BodyFiles,
    durability: Durability = "power-loss",
) -> Database:
    """Open a journal, or begin it."""
    database = Database(path, durability, bodies=files)
    database.open(ORIGIN)
    return database


def copy(source: Path, target: Path, *, but: str) -> Path:
    """Copy a journal's files as they are but for those that end so; return the journal."""
    target.mkdir()
    for file in source.parent.iterdir():
        if not file.name.endswith((but, "-shm")):
            shutil.copy(file, target)
    return target / source.name


def copied_back(path: Path) -> None:
    """Copy a live journal's log into its file, as SQLite does now and then."""
    sql = apsw.Connection(str(path))
    sql.execute("PRAGMA wal_checkpoint(PASSIVE)")
    sql.close()


@pytest.mark.parametrize("copied", [False, True], ids=["never copied back", "copied back once"])
def test_a_live_journal_without_its_log_is_refused(tmp_path: Path, copied: bool) -> None:
    """It holds less than the large bodies beside it, and neither is touched; with the log it opens."""
    path = tmp_path / "live" / "journal.db"
    database = opened(path)
    database.commit([CONNECT, LARGE], UNCHANGED)
    if copied:
        copied_back(path)
    for _ in range(3):
        database.commit([LARGE], UNCHANGED)
    whole = copy(path, tmp_path / "whole", but=" ")
    lost = copy(path, tmp_path / "lost", but="-wal")
    before = {file.name: file.read_bytes() for file in lost.parent.iterdir()}
    with pytest.raises(JournalRefused, match=r"journal\.db-bodies-1 holds .*journal\.db-wal"):
        opened(lost)
    assert {name: (lost.parent / name).read_bytes() for name in before} == before
    again = opened(whole)
    assert again.contents.head == database.contents.head
    again.close()
    database.close()


def test_what_a_power_loss_may_have_taken_is_not_missed(tmp_path: Path) -> None:
    """With process-crash a log that is gone may never have been on disk: the actor goes on."""
    path = tmp_path / "live" / "journal.db"
    database = opened(path, durability="process-crash")
    database.commit([CONNECT, LARGE], UNCHANGED)
    copied_back(path)
    for _ in range(3):
        database.commit([LARGE], UNCHANGED)
    lost = copy(path, tmp_path / "lost", but="-wal")
    database.close()
    for _ in range(2):
        again = opened(lost, durability="process-crash")
        before = again.contents.head.seq
        again.commit([LARGE], UNCHANGED)
        assert again.contents.head.seq == before + 1
        again.close()


class _CutOff(BodyFiles):
    """Bodies whose process dies between them and their rows."""

    def write(self) -> None:
        super().write()
        raise OSError(5, "the process is gone")


def test_one_batch_whose_rows_never_came_is_no_lost_log(tmp_path: Path) -> None:
    """A crash leaves it behind, of any number of events."""
    path = tmp_path / "journal.db"
    database = opened(path)
    database.commit([CONNECT, LARGE], UNCHANGED)
    database.close()
    for _ in range(2):
        database = opened(path, _CutOff)
        with pytest.raises(JournalFailed):
            database.commit([LARGE, LARGE._replace(input=bytes(LARGE_BYTES + 7)), LARGE], UNCHANGED)
        database.close()
    database = opened(path)
    assert database.contents.head.seq == 2
    database.commit([LARGE], UNCHANGED)
    database.close()


def _removed(file: Path) -> str:
    file.unlink()
    return "is missing"


def _shortened(file: Path) -> str:
    with file.open("r+b") as opened_file:
        opened_file.truncate(LARGE_BYTES)
    return f"has {LARGE_BYTES} bytes instead of"


@pytest.mark.parametrize("spoil", [_removed, _shortened], ids=["missing", "short"])
def test_missing_bodies_are_told_at_the_opening(tmp_path: Path, spoil: Callable[[Path], str]) -> None:
    """The newest are there, so the actor goes on; which file is wrong is said in words."""
    path = tmp_path / "journal.db"
    files = partial(BodyFiles, file_bytes=LARGE_BYTES)
    database = opened(path, files)
    database.commit([CONNECT], UNCHANGED)
    for _ in range(3):
        database.commit([LARGE], UNCHANGED)
    database.close()
    assert opened(path, files).missing_bodies == []
    what = spoil(tmp_path / "journal.db-bodies-2")
    database = opened(path, files)
    (words,) = database.missing_bodies
    assert f"journal.db-bodies-2 {what}" in words
    database.close()


@pytest.mark.parametrize("outlasts", [False, True], ids=["a moment", "longer than the patience"])
def test_a_lock_of_another_process_is_waited_for_off_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outlasts: bool
) -> None:
    """Other tasks run meanwhile. The commit succeeds when the lock goes in time, else fails in words."""
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_MS", 300 if outlasts else 60_000)

    async def work() -> None:
        with trio.fail_after(60):
            await limited()

    async def limited() -> None:
        journal = await Journal.open(
            tmp_path / "journal.db",
            actor=ACTOR,
            component_sha256=COMPONENT,
            initial_state=None,
            durability="power-loss",
        )
        await journal.commit([CONNECT], UNCHANGED)
        other = apsw.Connection(str(tmp_path / "journal.db"))
        other.execute("BEGIN IMMEDIATE")
        async with trio.open_nursery() as nursery:
            committed = trio.Event()

            async def commit() -> None:
                locked = pytest.raises(JournalFailed, match="locked by another process")
                with locked if outlasts else nullcontext():
                    await journal.commit([LARGE._replace(input=b"small")], UNCHANGED)
                committed.set()

            nursery.start_soon(commit)
            for _ in range(20):  # the loop turns while the commit waits
                await trio.sleep(0.001)
            assert not committed.is_set()
            if not outlasts:
                other.execute("ROLLBACK")
            await committed.wait()
        if outlasts:
            other.execute("ROLLBACK")
            await journal.recover()
        assert journal.head.seq == (1 if outlasts else 2)
        await journal.commit([CONNECT._replace(connection=2)], UNCHANGED)
        other.close()
        await journal.aclose()

    trio.run(work)


ITEMS = [
    0,
    23,
    24,
    -5,
    1 << 40,
    b"",
    b"x" * 300,
    "wörter",
    None,
    True,
    [],
    [1, [b"two", ["three"]], None] * 20,
]


@pytest.mark.parametrize("item", ITEMS, ids=repr)
def test_the_length_of_an_item_is_known_without_what_follows(item: object) -> None:
    """Cut off anywhere it is no whole item."""
    encoded = cbor.encode(item)
    assert cbor.item_bytes(memoryview(encoded + b"\x00more")) == len(encoded)
    for end in range(len(encoded)):
        with pytest.raises(RemoteProtocolError):
            cbor.item_bytes(memoryview(encoded[:end]))
