"""Where a replay begins, and how the recorded transitions reach it."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from tests.unit.replay.recorded import Recorder
from theater_supervisor.journal import reader
from theater_supervisor.journal.errors import JournalRefused
from theater_supervisor.journal.reader import rows
from theater_supervisor.journal.retention import Retention
from theater_supervisor.replay.history import open_history


def three_instances(var: Path, retention: Retention | None = None) -> Recorder:
    """Record 17 transitions: genesis, then three instances of a counter with five texts in all."""
    recorder = Recorder(var, retention=retention or Retention())
    recorder.instance()  # 1
    recorder.connect()  # 2
    recorder.count(3)  # 3 to 5
    recorder.instance()  # 6
    recorder.count(2)  # 7, 8
    recorder.event("binary", b"nothing")  # 9
    recorder.instance()  # 10
    recorder.event("ping", b"1")
    return recorder


def test_transitions_come_in_groups_of_one_instance_each(tmp_path: Path) -> None:
    """What came before the first instance is a group of its own."""
    recorded = three_instances(tmp_path).close()
    groups = open_history(recorded.journal).instances(0, 11)
    assert [[one.seq for one in group] for group in groups] == [[0], [1, 2, 3, 4, 5], [6, 7, 8, 9], [10, 11]]


@pytest.mark.parametrize(("seq", "beginning"), [(0, 0), (5, 0), (6, 6), (9, 6), (10, 10), (11, 10), (99, 10)])
def test_a_replay_begins_at_the_nearest_kept_state_before(tmp_path: Path, seq: int, beginning: int) -> None:
    """Not at the beginning of everything when a nearer instance's state is kept."""
    recorded = three_instances(tmp_path).close()
    assert open_history(recorded.journal).beginning(seq) == beginning


def test_kept_states_are_found_by_their_hash(tmp_path: Path) -> None:
    """The current one, the instances' and none."""
    recorder = three_instances(tmp_path)
    history = open_history(recorder.close().journal)
    assert set(history.states.values()) == {None, b"3", b"5"}
    transition = history.transition(10)
    assert transition is not None
    assert history.states[transition.state_hash] == b"5"


def test_a_slow_consumer_does_not_hold_up_a_live_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between parts the journal is not open, and what is added meanwhile is not shown."""
    monkeypatch.setattr(reader, "_PART_BYTES", 1)
    recorder = three_instances(tmp_path)
    transitions = rows(recorder.recorded.journal)
    shown = [next(transitions)[1].seq]
    recorder.count(4)
    with closing(apsw.Connection(str(recorder.recorded.journal))) as other:
        busy, *_ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").get
    assert busy == 0
    shown += [transition.seq for _, transition in transitions]
    assert shown == list(range(12))
    recorder.close()


def test_what_retention_drops_in_the_middle_of_reading_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never a gap without a word."""
    monkeypatch.setattr(reader, "_PART_BYTES", 1)
    recorder = three_instances(tmp_path, Retention(keep_events=8, step_events=8))
    transitions = rows(recorder.recorded.journal)
    next(transitions)
    recorder.count(20)
    with pytest.raises(JournalRefused, match=r"after seq 0 comes seq \d+: retention dropped"):
        list(transitions)
    recorder.close()
