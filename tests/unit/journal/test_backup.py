"""Copies of live journals under retention, and the way back."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import apsw
import pytest

from tests.unit.journal.model import ACTOR, COMPONENT, START_US
from theater_protocol.messages import UNCHANGED
from theater_supervisor.journal import backup
from theater_supervisor.journal.bodies import LARGE_BYTES, BodyFiles
from theater_supervisor.journal.contents import Entry, Origin
from theater_supervisor.journal.database import Database
from theater_supervisor.journal.errors import JournalRefused
from theater_supervisor.journal.retention import Retention
from theater_supervisor.journal.verify import verify

ORIGIN = Origin(ACTOR, COMPONENT, None, START_US)
CONNECT = Entry(START_US + 1, "connect", 1, None, "ok", (), None)
LARGE = Entry(START_US + 2, "binary", 1, bytes(LARGE_BYTES), "ok", (), None)


def live(path: Path) -> Database:
    """Begin a journal that drops large events, each file of which has a few."""
    files = partial(BodyFiles, file_bytes=4 * LARGE_BYTES)
    database = Database(path, "process-crash", Retention(keep_events=16, step_events=4), bodies=files)
    database.open(ORIGIN)
    database.commit([CONNECT], UNCHANGED)
    return database


def go_on(database: Database, events: int = 60) -> None:
    """Let large events come, and others be dropped."""
    for _ in range(events):
        database.commit([LARGE], UNCHANGED)


def test_a_live_journal_goes_on_while_it_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retention deletes what the copy tells of before and after its moment; the copy is whole and opens."""
    database = live(tmp_path / "data" / "journal.db")
    go_on(database)
    copy_pages: Callable[[apsw.Connection, Path], None] = backup._copy_pages
    head = database.contents.head

    def busy(reader: apsw.Connection, target: Path) -> None:
        go_on(database)
        copy_pages(reader, target)
        go_on(database)

    monkeypatch.setattr(backup, "_copy_pages", busy)
    verdict = backup.back_up(tmp_path / "data", tmp_path / "copy")
    database.close()
    assert verdict.fault is None
    assert verdict.head == head
    copied = Database(tmp_path / "copy" / "journal.db")
    copied.open(ORIGIN)
    assert copied.missing_bodies == []
    copied.commit([LARGE], UNCHANGED)
    copied.close()
    assert verify(tmp_path / "copy" / "journal.db", verdict.head.hash).fault is None


def test_a_backup_comes_back_with_its_components(tmp_path: Path) -> None:
    """With the head that was noted; nothing that is there is overwritten."""
    data, copy, target = tmp_path / "data", tmp_path / "copy", tmp_path / "var" / "data" / ACTOR
    database = live(data / "journal.db")
    go_on(database)
    database.close()
    (data / "components").mkdir()
    (data / "components" / "one.wasm").write_bytes(b"component")
    noted = backup.back_up(data, copy).head.hash
    assert backup.restore(copy, target, noted).head.hash == noted
    assert (target / "components" / "one.wasm").read_bytes() == b"component"
    for again in (partial(backup.back_up, data, copy), partial(backup.restore, copy, target, None)):
        with pytest.raises(backup.InTheWay, match="is there already"):
            again()
    assert [path.name for path in target.parent.iterdir()] == [ACTOR]


def test_a_damaged_backup_is_not_restored(tmp_path: Path) -> None:
    """Nor one without the noted head; nothing is left behind."""
    data, copy, target = tmp_path / "data", tmp_path / "copy", tmp_path / "var" / "data" / ACTOR
    database = live(data / "journal.db")
    go_on(database)
    database.close()
    backup.back_up(data, copy)
    with pytest.raises(JournalRefused, match="without the noted head"):
        backup.restore(copy, target, bytes(32))
    max(copy.glob("journal.db-bodies-*"), key=lambda file: int(file.name.rpartition("-")[2])).unlink()
    with pytest.raises(JournalRefused, match="nothing was restored"):
        backup.restore(copy, target, None)
    assert list(target.parent.iterdir()) == []


def test_bodies_of_after_the_copys_moment_are_not_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that is written to grows meanwhile; else the copy would look like one without its log."""
    database = Database(tmp_path / "data" / "journal.db", "process-crash")
    database.open(ORIGIN)
    database.commit([CONNECT, LARGE], UNCHANGED)
    copy_pages: Callable[[apsw.Connection, Path], None] = backup._copy_pages

    def busy(reader: apsw.Connection, target: Path) -> None:
        copy_pages(reader, target)
        go_on(database, 5)

    monkeypatch.setattr(backup, "_copy_pages", busy)
    backup.back_up(tmp_path / "data", tmp_path / "copy")
    database.close()
    copied = Database(tmp_path / "copy" / "journal.db")
    copied.open(ORIGIN)
    assert copied.contents.head.seq == 2
    copied.close()


def test_a_copy_by_sqlite_with_bodies_copied_later_is_still_taken(tmp_path: Path) -> None:
    """So backups were made before there was a command; it opens again and again, and goes on."""
    database = Database(tmp_path / "data" / "journal.db", "process-crash")
    database.open(ORIGIN)
    database.commit([CONNECT, LARGE], UNCHANGED)
    copy = tmp_path / "copy"
    copy.mkdir()
    sql = apsw.Connection(str(tmp_path / "data" / "journal.db"))
    sql.execute("VACUUM INTO ?", (str(copy / "journal.db"),))
    sql.close()
    go_on(database, 5)
    database.close()
    for file in (tmp_path / "data").glob("journal.db-bodies-*"):
        shutil.copy(file, copy)
    for _ in range(3):
        copied = Database(copy / "journal.db")
        copied.open(ORIGIN)
        copied.close()
    copied.open(ORIGIN)
    copied.commit([LARGE], UNCHANGED)
    copied.close()
    assert verify(copy / "journal.db").fault is None
