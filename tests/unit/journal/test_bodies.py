"""Large bodies: where they are kept, when their files go, and what a journal says of one that is missing."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import apsw
import pytest

from tests.unit.journal.model import ACTOR, COMPONENT, START_US
from theater_protocol import cbor
from theater_protocol.errors import RemoteProtocolError
from theater_protocol.messages import Reply, Unchanged
from theater_supervisor.journal import bodies
from theater_supervisor.journal.bodies import LARGE_BYTES, Bodies, BodyFiles
from theater_supervisor.journal.contents import Entry, Origin
from theater_supervisor.journal.database import Database
from theater_supervisor.journal.errors import JournalRefused
from theater_supervisor.journal.reader import rows
from theater_supervisor.journal.retention import KEEP_ALL, Retention
from theater_supervisor.journal.verify import verify

CONNECT = Entry(START_US, "connect", 1, None, "ok", (), None)
SIZES = [LARGE_BYTES, 3 * 1024 * 1024 + 1]


def begin(
    path: Path, retention: Retention = KEEP_ALL, files: Callable[[Path], BodyFiles] = BodyFiles
) -> Database:
    """Open a journal on the real disk."""
    database = Database(path, "process-crash", retention, bodies=files)
    database.open(Origin(ACTOR, COMPONENT, None, START_US))
    return database


def echo(data: bytes) -> Entry:
    """Make an event that is answered with itself."""
    return Entry(START_US, "binary", 1, data, "ok", (Reply("binary", data),), None)


def files(path: Path) -> list[str]:
    """Return the names of a journal's files of large bodies."""
    return sorted(file.name for file in path.parent.glob("*-bodies-*"))


def version(path: Path) -> object:
    """Return the schema version that a journal says it has."""
    sql = apsw.Connection(str(path))
    found = sql.pragma("user_version")
    sql.close()
    return found


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "through the page cache"])
def test_large_events_come_back_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, direct: bool
) -> None:
    """Several in a batch beside small ones, whatever their size, also where direct writes are not offered."""
    if not direct:
        monkeypatch.setattr(bodies, "_DIRECT", 0)
    path = tmp_path / "journal.db"
    database = begin(path)
    sent = [b"small", *map(os.urandom, SIZES), b"small too", os.urandom(LARGE_BYTES + 7)]
    database.commit([CONNECT, *map(echo, sent)], Unchanged())
    database.commit([echo(sent[1])], Unchanged())
    database.close()
    kept = [transition for _, transition in rows(path, since_seq=2)]
    assert [one.input for one in kept] == [*sent, sent[1]]
    assert [one.replies for one in kept] == [(Reply("binary", data),) for data in [*sent, sent[1]]]
    assert verify(path).fault is None
    assert files(path) == ["journal.db-bodies-1"]
    assert path.stat().st_size <= LARGE_BYTES


def test_only_a_journal_with_large_bodies_needs_this_release(tmp_path: Path) -> None:
    """The schema version goes up with the first of them, so that an older release reads what it can."""
    path = tmp_path / "journal.db"
    database = begin(path)
    database.commit([CONNECT, echo(b"small")], Unchanged())
    assert version(path) == 1
    database.commit([echo(bytes(LARGE_BYTES))], Unchanged())
    assert version(path) == 2
    database.close()


def test_each_opened_journal_writes_to_a_file_of_its_own(tmp_path: Path) -> None:
    """Nothing is overwritten, whatever lies there: such as what came after the backup that was restored."""
    path = tmp_path / "journal.db"
    database = begin(path)
    database.commit([CONNECT], Unchanged())
    path.with_name("journal.db-bodies-7").write_bytes(b"later than the backup")
    for _ in range(2):
        database.commit([echo(bytes(LARGE_BYTES))], Unchanged())
        database.close()
        database = begin(path)
    database.close()
    assert files(path) == ["journal.db-bodies-7", "journal.db-bodies-8", "journal.db-bodies-9"]
    assert path.with_name("journal.db-bodies-7").read_bytes() == b"later than the backup"
    assert verify(path).fault is None


def test_bodies_without_their_journal_are_not_given_to_a_new_one(tmp_path: Path) -> None:
    """Where journal.db alone was moved away, no new journal begins beside what belongs to it."""
    path = tmp_path / "journal.db"
    database = begin(path)
    database.commit([CONNECT, echo(bytes(LARGE_BYTES))], Unchanged())
    database.close()
    path.rename(tmp_path / "away.db")
    with pytest.raises(JournalRefused, match=r"journal\.db-bodies-1 holds transitions.*move all away"):
        begin(path)
    assert files(path) == ["journal.db-bodies-1"]


def test_a_place_that_cannot_be_is_no_more_than_a_missing_body(tmp_path: Path) -> None:
    """Whatever somebody writes into a row, reading it asks for no more than the file has."""
    path = tmp_path / "journal.db"
    database = begin(path)
    database.commit([CONNECT, echo(bytes(LARGE_BYTES))], Unchanged())
    database.close()
    reader = Bodies(path)
    places: list[list[object]] = [
        [1, 0, 1 << 62],
        [1, 1 << 63, 1],
        [9, 0, 1],
        [1, -1, 4],
        [1, 0, "3"],
        [1, 0, [0]],
    ]
    for stored in (*map(cbor.encode, places), b"\x83\x01\x02"):
        with pytest.raises(RemoteProtocolError):
            reader.whole(stored)
    reader.close()


def test_retention_deletes_the_files_of_dropped_bodies(tmp_path: Path) -> None:
    """A file goes when all of its bodies are dropped; what is kept verifies and can be read."""
    path = tmp_path / "journal.db"
    small_files = partial(BodyFiles, file_bytes=3 * LARGE_BYTES)
    database = begin(path, Retention(keep_events=5, step_events=5), small_files)
    database.commit([CONNECT], Unchanged())
    for number in range(30):
        database.commit([echo(bytes([number]) * LARGE_BYTES)], Unchanged())
    database.close()
    assert len(files(path)) <= 6
    assert f"journal.db-bodies-{30 // 2}" in files(path)
    assert verify(path).fault is None
    events = [one.input for _, one in rows(path, verify(path).first_seq) if one.kind == "binary"]
    assert events[-3:] == [bytes([number]) * LARGE_BYTES for number in range(27, 30)]


def test_large_events_are_dropped_a_few_at_a_time(tmp_path: Path) -> None:
    """Without a seal among them, a step reads some MiB, and the next commits go on until nothing is due."""
    path = tmp_path / "journal.db"
    database = begin(path)
    sizes = [10 << 20, *[1 << 20] * 12]
    database.commit([CONNECT, *[echo(bytes(size)) for size in sizes]], Unchanged())
    database.change("process-crash", Retention(keep_events=2, step_events=4))
    oldest = []
    for _ in range(6):
        database.commit([echo(b"small")], Unchanged())
        oldest.append(database.contents.oldest_seq)
    database.close()
    assert 2 < oldest[0] < 12 <= oldest[-1]
    assert verify(path).fault is None


@pytest.mark.parametrize("newest", [True, False], ids=["the newest", "an earlier one"])
def test_a_missing_body_is_named_with_its_file(tmp_path: Path, newest: bool) -> None:
    """Verifying names seq and file; without its newest body the journal is refused, and left as it is."""
    path = tmp_path / "journal.db"
    database = begin(path)
    database.commit([CONNECT, echo(bytes(LARGE_BYTES)), *([] if newest else [echo(b"")])], Unchanged())
    database.close()
    path.with_name("journal.db-bodies-1").unlink()
    fault = verify(path).fault
    assert fault is not None
    assert fault.seq == 2
    assert "at 0 of journal.db-bodies-1, is missing" in fault.what
    with pytest.raises(JournalRefused, match=r"journal\.db-bodies-1, is missing"):
        list(rows(path))
    if newest:
        with pytest.raises(JournalRefused, match=r"journal\.db-bodies-1, is missing"):
            begin(path)
    else:
        begin(path).close()
