"""Power loss: what comes back is a prefix of what was committed, with everything acknowledged in it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.faults.counts import repeats
from tests.faults.disk import Moment, RecordingDisk
from tests.unit.journal.model import Model, Script, begin
from theater_supervisor.journal.errors import JournalFailed
from theater_supervisor.journal.retention import Retention
from theater_supervisor.journal.schema import Durability
from theater_supervisor.journal.verify import verify

CRASHES = repeats(1000)
BATCHES = 150
STATE_BYTES = 40_000  # large enough that the log is copied into the database several times in a run
RETENTION = Retention(keep_events=100, step_events=64)


class _Run:
    """A scripted run that is stopped at chosen operations; `models` are those after each commit."""

    def __init__(self, directory: Path, durability: Durability, at_each: Callable[[Moment], None]) -> None:
        self.path = directory / "journal.db"
        self.models: list[Model] = []
        self.acknowledged = -1  # an index into models
        self._durability: Durability = durability
        self._disk = RecordingDisk(at_each)

    def play(self) -> None:
        script = Script(7, state_bytes=STATE_BYTES)
        self.models = [Model()]
        database = begin(self.path, durability=self._durability, retention=RETENTION, disk=self._disk)
        self.acknowledged = 0
        for number, batch in enumerate(script.batches(self.models[0], BATCHES), 1):
            self.models.append(batch.after)
            database.commit(batch.entries, batch.update)
            self.acknowledged = number
            if number % 50 == 0:
                database.close()
                database = begin(self.path, durability=self._durability, retention=RETENTION, disk=self._disk)
        database.close()


def _count_operations(directory: Path, durability: Durability) -> int:
    operations = 0

    def step(moment: Moment) -> None:
        nonlocal operations
        operations = moment.operations

    _Run(directory, durability, step).play()
    return operations


def _survivor(
    directory: Path, moment: Moment, random: Random, durability: Durability = "power-loss"
) -> Model:
    """Lose power at this moment; return what a journal opened afterwards holds, which must be sound."""
    directory.mkdir()
    moment.leave(directory, random)
    path = directory / "journal.db"
    database = begin(path, durability=durability)
    survived = Model.of(database.contents)
    assert verify(path).fault is None
    after = Script(random.randrange(1 << 30)).batch(survived)
    database.commit(after.entries, after.update)
    database.close()
    verdict = verify(path)
    assert verdict.fault is None
    assert verdict.head == database.contents.head
    shutil.rmtree(directory)
    return survived


def _lost_per_crash(tmp_path: Path, durability: Durability) -> list[int]:
    """Play the run once with CRASHES power losses; return how many acknowledged commits each one took."""
    (tmp_path / "count").mkdir()
    (tmp_path / "run").mkdir()
    operations = _count_operations(tmp_path / "count", durability)
    random = Random(CRASHES)
    crashes = sorted(random.choices(range(1, operations + 1), k=CRASHES))
    lost: list[int] = []

    def step(moment: Moment) -> None:
        for _ in range(crashes.count(moment.operations)):
            survived = _survivor(tmp_path / "crashed", moment, random, durability)
            if run.acknowledged < 0:  # nothing was promised yet: a fresh genesis is as good as the first
                assert survived.seq == 0
                continue
            assert survived in run.models
            lost.append(max(0, run.acknowledged - run.models.index(survived)))

    run = _Run(tmp_path / "run", durability, step)
    run.play()
    return lost


@pytest.mark.campaign
def test_a_power_loss_takes_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """With durability power-loss every acknowledged commit comes back, and at most one that was not."""
    lost = _lost_per_crash(tmp_path, "power-loss")
    assert len(lost) > CRASHES * 0.9
    assert not any(lost)


@pytest.mark.campaign
def test_durability_process_crash_may_lose_the_last_commits_but_no_part_of_one(tmp_path: Path) -> None:
    """With durability process-crash a power loss takes whole commits off the end, which this disk shows."""
    assert any(_lost_per_crash(tmp_path, "process-crash"))


@pytest.mark.parametrize("failures", [1, 3])
def test_a_failed_sync_leaves_no_gap_behind(tmp_path: Path, failures: int) -> None:
    """The kernel forgets what it could not write; recovery writes it again, else later commits were lost."""
    moments: list[Moment] = []
    disk = RecordingDisk(moments.append)
    script, model = Script(5), Model()
    database = begin(tmp_path / "journal.db", disk=disk)
    for batch in script.batches(model, 5):
        database.commit(batch.entries, batch.update)
        model = batch.after
    disk.forgetful = True
    failed = script.batch(model)
    with pytest.raises(JournalFailed, match="EIO"):
        database.commit(failed.entries, failed.update)
    for _ in range(1, failures):
        with pytest.raises(JournalFailed, match="EIO"):
            database.recover()
    disk.forgetful = False
    database.recover()
    model = Model.of(database.contents)
    assert model == failed.after
    for batch in script.batches(model, 5):
        database.commit(batch.entries, batch.update)
        model = batch.after
    for seed in range(20):
        assert _survivor(tmp_path / "crashed", moments[-1], Random(seed)) == model
    database.close()
