"""A disk that fails at its n-th write or sync, for every n: named, nothing half there, mended afterwards."""

import shutil
from itertools import count
from pathlib import Path

import pytest

from tests.faults.counts import repeats
from tests.faults.disk import CAUSES, FailingDisk
from tests.unit.journal.model import Batch, Model, Script, begin
from theater_supervisor.journal.database import Database
from theater_supervisor.journal.errors import JournalFailed
from theater_supervisor.journal.retention import Retention
from theater_supervisor.journal.verify import verify

BATCHES = repeats(40)
RETENTION = Retention(keep_events=10, step_events=5)


def _play(path: Path, disk: FailingDisk) -> None:
    """Commit a script on this disk, mending it at every failure; check the journal all the way."""
    database = _begin_despite_failure(path, disk)
    script = Script(11, state_bytes=3000)
    model = Model()
    for number in range(BATCHES):
        batch = script.batch(model)
        model = _commit_despite_failure(database, disk, model, batch)
        assert Model.of(database.contents) == model
        if number % 5 == 4:
            database.close()
            assert verify(path).fault is None
            database = _begin_despite_failure(path, disk)
            assert Model.of(database.contents) == model
    database.close()
    verdict = verify(path)
    assert verdict.fault is None
    assert verdict.head == database.contents.head


def _begin_despite_failure(path: Path, disk: FailingDisk) -> Database:
    cause = CAUSES.get(disk.error, "")
    try:
        return begin(path, retention=RETENTION, disk=disk)
    except JournalFailed as exc:
        _assert_named(exc, cause, path)
        disk.heal()
        return begin(path, retention=RETENTION, disk=disk)


def _assert_named(error: JournalFailed, cause: str, path: Path) -> None:
    assert cause in str(error)
    assert str(path) in str(error)


def _commit_despite_failure(database: Database, disk: FailingDisk, before: Model, batch: Batch) -> Model:
    """Commit; after a failure, mend the disk, recover, and commit again what is not there."""
    cause = CAUSES.get(disk.error, "")
    try:
        database.commit(batch.entries, batch.update)
    except JournalFailed as exc:
        _assert_named(exc, cause, database.path)
    else:
        return batch.after
    assert Model.of(database.contents) == before
    assert _after_kill(database.path) in (before, batch.after)
    if disk.error:
        with pytest.raises(JournalFailed, match=cause):
            database.recover()
        with pytest.raises(JournalFailed, match="has not recovered"):
            database.commit(batch.entries, batch.update)
        assert Model.of(database.contents) == before
        disk.heal()
    database.recover()
    recovered = Model.of(database.contents)
    if recovered == batch.after:
        return recovered
    assert recovered == before
    database.commit(batch.entries, batch.update)
    return batch.after


def _after_kill(path: Path) -> Model:
    """Return what a supervisor would find that was killed at this moment and started on a sound disk."""
    copy = path.with_name("killed")
    copy.mkdir()
    for file in path.parent.glob(f"{path.name}*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, copy)
    database = begin(copy / path.name)
    model = Model.of(database.contents)
    database.close()
    assert verify(copy / path.name).fault is None
    shutil.rmtree(copy)
    return model


@pytest.mark.campaign
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "EROFS"])
def test_every_write_and_sync_may_fail(tmp_path: Path, error: str, lasting: bool) -> None:
    """Whichever operation fails, no commit is half there, none is lost, and work goes on afterwards."""
    disk = FailingDisk()
    for nth in count(1):
        failures = disk.failures
        disk.fail_at(nth, error, lasting=lasting)
        _play(tmp_path / str(nth) / "journal.db", disk)
        if disk.failures == failures:
            break
        disk.heal()
        shutil.rmtree(tmp_path / str(nth))
    assert nth > BATCHES


def test_a_batch_whose_sync_failed_is_there_after_recovery(tmp_path: Path) -> None:
    """It is in the log, whole, though never acknowledged: the same as a kill at that moment would leave."""
    disk = FailingDisk()
    path = tmp_path / "journal.db"
    database = begin(path, disk=disk)
    batch = Script(1).batch(Model(), size=3)
    disk.fail_at(_operations_of_commit(tmp_path), "EIO", lasting=False)
    with pytest.raises(JournalFailed, match=f"EIO.* syncing {path}-wal"):
        database.commit(batch.entries, batch.update)
    assert Model.of(database.contents) == Model()
    assert _after_kill(path) == batch.after
    database.recover()
    assert Model.of(database.contents) == batch.after
    assert _after_kill(path) == batch.after
    database.close()


def _operations_of_commit(tmp_path: Path) -> int:
    """Return which operation of the first commit is its last, the sync of the log."""
    for nth in count(1):
        disk = FailingDisk()
        database = begin(tmp_path / f"count-{nth}" / "journal.db", disk=disk)
        batch = Script(1).batch(Model(), size=3)
        disk.fail_at(nth, "EIO", lasting=False)
        try:
            database.commit(batch.entries, batch.update)
        except JournalFailed:
            continue
        finally:
            database.close()
        return nth - 1
    raise AssertionError("unreachable: count never ends")


@pytest.mark.parametrize(
    ("seed", "named"),
    [
        pytest.param(2, "(ENOSPC: No space left on device) writing {}-bodies-1", id="large bodies"),
        pytest.param(4, "(SQLITE_FULL) writing {}", id="no large body"),
    ],
)
def test_a_full_disk_is_named(tmp_path: Path, seed: int, named: str) -> None:
    """The error of a commit on a full disk says so, with a name for it and the file."""
    disk, path = FailingDisk(), tmp_path / "journal.db"
    database = begin(path, disk=disk)
    disk.fail_at(1, "ENOSPC", lasting=True)
    batch = Script(seed).batch(Model())
    with pytest.raises(JournalFailed) as caught:
        database.commit(batch.entries, batch.update)
    assert str(caught.value) == f"disk full {named.format(path)}"
    database.close()
