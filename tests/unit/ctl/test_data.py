"""`state set` and `purge` on a stopped actor's data, and their refusal beside whoever holds the lock."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit.replay.recorded import NAME, Recorder
from theater_supervisor.ctl.main import theaterctl
from theater_supervisor.journal.lock import LockHeld, acquire
from theater_supervisor.journal.reader import read, rows
from theater_supervisor.journal.verify import verify


def call(var: Path, *arguments: str, answer: str = "") -> Result:
    """Run the command line."""
    return CliRunner().invoke(theaterctl, ["--var", str(var), *arguments], input=answer)


def counted(var: Path) -> Path:
    """Record an actor that has counted to three; return its journal."""
    recorder = Recorder(var)
    recorder.instance()
    recorder.connect()
    recorder.count(3)
    return recorder.close().journal


@pytest.mark.parametrize("state", [b"41", b"", bytes(100_000), None], ids=["short", "empty", "large", "none"])
def test_a_set_state_is_the_state_and_a_transition(tmp_path: Path, state: bytes | None) -> None:
    """With its bytes in the chain, whatever their size; the chain verifies."""
    journal = counted(tmp_path)
    file = tmp_path / "state"
    file.write_bytes(state or b"")
    result = call(tmp_path, "state", "set", NAME, "none" if state is None else str(file))
    assert result.exit_code == 0, result.output
    assert "recorded as seq 6" in result.output
    *_, (_, last) = rows(journal)
    assert (last.kind, last.input) == ("state", state)
    with read(journal) as opened:
        assert opened.state() == state
    assert verify(journal).fault is None


def test_a_state_over_the_limit_is_refused(tmp_path: Path) -> None:
    """No worker could be given it; nothing is recorded."""
    journal = counted(tmp_path)
    (tmp_path / "state").write_bytes(bytes((16 << 20) + 1))
    result = call(tmp_path, "state", "set", NAME, str(tmp_path / "state"))
    assert result.exit_code == 2
    assert "at most 16777216" in result.output
    assert verify(journal).head.seq == 5


def test_purge_asks_and_removes_all_of_it(tmp_path: Path) -> None:
    """No is no; yes leaves nothing behind."""
    journal = counted(tmp_path)
    assert call(tmp_path, "purge", NAME, answer="n\n").exit_code == 1
    assert journal.exists()
    assert call(tmp_path, "purge", NAME, answer="y\n").exit_code == 0
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [("state", "set", NAME, "none"), ("purge", NAME, "--yes")], ids=["state set", "purge"]
)
def test_nothing_is_changed_beside_a_supervisor(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Whoever holds the lock of the var directory is named."""
    journal = counted(tmp_path)
    with acquire(tmp_path):
        result = call(tmp_path, *arguments)
    assert isinstance(result.exception, LockHeld)
    assert verify(journal).head.seq == 5
