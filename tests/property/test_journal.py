"""The journal against a model, over random courses of commits, failures, crashes, reopening and retention."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.faults.counts import repeats
from tests.faults.disk import CAUSES, FailingDisk
from tests.unit.journal.model import Model, Script, begin
from theater_supervisor.journal.errors import JournalFailed
from theater_supervisor.journal.retention import KEEP_ALL, Retention
from theater_supervisor.journal.verify import verify

seeds = st.integers(0, 1 << 30)
retentions = st.sampled_from(
    [KEEP_ALL, Retention(keep_events=3, step_events=2), Retention(keep_days=0.00001)]
)


class JournalCourse(RuleBasedStateMachine):
    """One journal, and the model of what is committed in it."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = Path(tempfile.mkdtemp())
        self._disk = FailingDisk()
        self._journal = begin(self._directory / "0" / "journal.db", disk=self._disk)
        self._model = Model()
        self._in_doubt: Model | None = None  # what a failed batch would have made of the model
        self._copies = 0

    def teardown(self) -> None:
        """Whatever happened, the journal verifies at the end."""
        self._journal.close()
        assert verify(self._journal.path).fault is None
        shutil.rmtree(self._directory)

    @precondition(lambda self: self._in_doubt is None)
    @rule(seed=seeds)
    def commit(self, seed: int) -> None:
        """A batch is committed."""
        batch = Script(seed).batch(self._model)
        self._journal.commit(batch.entries, batch.update)
        self._model = batch.after

    @precondition(lambda self: self._in_doubt is None)
    @rule(seed=seeds, nth=st.integers(1, 12), error=st.sampled_from(sorted(CAUSES)), lasting=st.booleans())
    def commit_on_a_failing_disk(self, seed: int, nth: int, error: str, lasting: bool) -> None:
        """A batch fails, unless the disk would have failed after it."""
        batch = Script(seed).batch(self._model)
        self._disk.fail_at(nth, error, lasting=lasting)
        try:
            self._journal.commit(batch.entries, batch.update)
        except JournalFailed as failed:
            self._in_doubt = batch.after
            self._expect_cause(failed, error)
        else:
            self._model = batch.after
            self._disk.heal()

    def _expect_cause(self, failed: JournalFailed, error: str) -> None:
        assert CAUSES[error] in str(failed)

    @precondition(lambda self: self._in_doubt is not None)
    @rule(heal=st.booleans())
    def recover(self, heal: bool) -> None:
        """Recovery succeeds once the disk works; the batch in doubt is there whole or not at all."""
        if heal:
            self._disk.heal()
        try:
            self._journal.recover()
        except JournalFailed:
            assert self._disk.error
        else:
            self._settle()

    @rule(retention=retentions)
    def reopen(self, retention: Retention) -> None:
        """The journal is closed and opened again, perhaps with another retention."""
        self._disk.heal()
        self._journal.close()
        self._open(self._journal.path, retention)

    @rule(retention=retentions)
    def kill(self, retention: Retention) -> None:
        """The process dies; the next one finds the files as they are, the log not copied back."""
        self._disk.heal()
        self._copies += 1
        copy = self._directory / str(self._copies)
        copy.mkdir()
        for file in self._journal.path.parent.iterdir():
            if not file.name.endswith("-shm"):
                shutil.copy(file, copy)
        self._journal.close()
        self._open(copy / "journal.db", retention)

    def _open(self, path: Path, retention: Retention) -> None:
        self._journal = begin(path, retention=retention, disk=self._disk)
        self._settle()

    def _settle(self) -> None:
        if self._in_doubt is not None and Model.of(self._journal.contents) == self._in_doubt:
            self._model = self._in_doubt
        self._in_doubt = None

    @invariant()
    def holds_what_was_acknowledged(self) -> None:
        """State, head and ledger in memory are the model's, failed or not."""
        assert Model.of(self._journal.contents) == self._model

    @precondition(lambda self: self._in_doubt is None)
    @invariant()
    def verifies(self) -> None:
        """What is on disk verifies up to the head in memory."""
        verdict = verify(self._journal.path)
        assert verdict.fault is None
        assert verdict.head == self._journal.contents.head


TestJournalCourse = pytest.mark.campaign(JournalCourse.TestCase)
TestJournalCourse.settings = settings(
    max_examples=repeats(300),
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
