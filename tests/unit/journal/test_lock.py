"""The lock on a var directory, with real second processes."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.special_files import place_special
from theater_supervisor.journal.lock import LockHeld, VarUnusable, acquire

# Holds the lock, starts a child of its own that outlives it, says so, and waits.
HOLDER = """
import subprocess, sys
from pathlib import Path
from theater_supervisor.journal.lock import acquire
lock = acquire(Path(sys.argv[1]))
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=sys.stdin)
print(child.pid, flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(var: Path) -> Iterator[subprocess.Popen[str]]:
    """Another supervisor that holds the lock; its child lives until its stdin is closed."""
    command = [sys.executable, "-c", HOLDER, str(var)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdigit()
        try:
            yield process
        finally:
            process.kill()


def test_a_second_supervisor_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    """The error names the holder's pid and the remedy, with the exit status of a temporary failure."""
    with holder(tmp_path) as other:
        with pytest.raises(LockHeld, match=f"pid {other.pid}") as caught:
            acquire(tmp_path)
        assert caught.value.exit_status == 75
        assert "--var" in str(caught.value)


def test_a_killed_supervisor_leaves_no_lock_behind(tmp_path: Path) -> None:
    """After kill -9 the next one gets in at once, even while a child of the killed one lives on."""
    with holder(tmp_path) as other:
        other.send_signal(signal.SIGKILL)
        other.wait(10)
        with acquire(tmp_path):
            assert (tmp_path / "run" / "supervisor.lock").read_text() == f"{os.getpid()}\n"


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    """Released twice is released once; while it is held, this process does not get it again either."""
    lock = acquire(tmp_path)
    with pytest.raises(LockHeld, match=f"pid {os.getpid()}"):
        acquire(tmp_path)
    lock.release()
    lock.release()
    with acquire(tmp_path):
        pass
    acquire(tmp_path).release()


def test_a_var_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file where the directory should be is an error about var, not a traceback."""
    (tmp_path / "var").write_text("in the way")
    with pytest.raises(VarUnusable, match="--var") as caught:
        acquire(tmp_path / "var")
    assert caught.value.exit_status == 73


@pytest.mark.parametrize("removed", ["run", "run/supervisor.lock", "run data", "data"])
def test_what_is_removed_meanwhile_lets_nobody_in(tmp_path: Path, removed: str) -> None:
    """Without its files the directory is still locked; the holder makes them anew and is named again."""
    var = tmp_path / "var"
    with acquire(var) as lock:
        for name in removed.split():
            path = var / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        with pytest.raises(LockHeld, match="works on"):
            acquire(var)
        assert var / removed.split()[-1] in [*lock.renew(), var / "run"]
        assert lock.renew() == []
        with pytest.raises(LockHeld, match=f"pid {os.getpid()}, works on"):
            acquire(var)
    acquire(var).release()


def test_journals_that_two_var_directories_share_are_locked(tmp_path: Path) -> None:
    """What matters is which directory it is, not by which way it is reached."""
    with acquire(tmp_path / "one"):
        (tmp_path / "two").mkdir()
        (tmp_path / "two" / "data").symlink_to(tmp_path / "one" / "data")
        with pytest.raises(LockHeld):
            acquire(tmp_path / "two")


def test_a_directory_that_another_has_taken_is_not_taken_back(tmp_path: Path) -> None:
    """Moved away with everything in it, and another one works at its old place: that is said."""
    with acquire(tmp_path / "var") as lock:
        (tmp_path / "var").rename(tmp_path / "moved")
        with holder(tmp_path / "var"), pytest.raises(LockHeld):
            lock.renew()
        with pytest.raises(LockHeld):
            acquire(tmp_path / "moved")
        assert tmp_path / "var" in lock.renew()


def test_who_is_no_supervisor_is_named(tmp_path: Path) -> None:
    """A command that changes journals is told of by its name."""
    with (
        acquire(tmp_path, "theaterctl restore"),
        pytest.raises(LockHeld, match=f": theaterctl restore, pid {os.getpid()}, works on"),
    ):
        acquire(tmp_path)


@pytest.mark.parametrize("kind", ["pipe", "directory", "socket"])
def test_a_lock_file_that_is_none_is_named(tmp_path: Path, kind: str) -> None:
    """It is refused, at once, with what it is."""
    (tmp_path / "run").mkdir()
    place_special(tmp_path / "run" / "supervisor.lock", kind)
    with pytest.raises(VarUnusable, match=rf"supervisor\.lock: is a {kind}, not a file"):
        acquire(tmp_path)
