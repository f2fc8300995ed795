"""When a component is made again."""

import os
from pathlib import Path

import pytest

from theater_supervisor.components.build import is_stale

OLD_S, NEW_S = 1_000_000_000, 1_000_000_060


@pytest.fixture
def actor(tmp_path: Path) -> Path:
    """An actor's directory: all files old, the component new."""
    (tmp_path / "chat.py").write_text("import json\nfrom rooms import open_room\n")
    (tmp_path / "rooms.py").write_text("import doors\n")
    for name in ("doors.py", "unrelated.py", "theater.wit", "chat.wasm"):
        (tmp_path / name).touch()
    for file in tmp_path.iterdir():
        set_time(file, OLD_S)
    set_time(tmp_path / "chat.wasm", NEW_S)
    return tmp_path


def set_time(file: Path, at_s: int) -> None:
    """Set a file's modification time."""
    os.utime(file, (at_s, at_s))


def stale(actor: Path) -> bool:
    """Ask about the actor's component."""
    return is_stale(actor / "chat.wasm", actor / "chat.py", actor / "theater.wit")


def test_a_component_newer_than_what_it_is_made_of_is_kept(actor: Path) -> None:
    """Also when a module that it does not import is newer."""
    set_time(actor / "unrelated.py", NEW_S + 60)
    assert not stale(actor)


@pytest.mark.parametrize("changed", ["chat.py", "rooms.py", "doors.py", "theater.wit"])
def test_a_component_older_than_what_it_is_made_of_is_stale(actor: Path, changed: str) -> None:
    """Its source, what that imports from beside it, directly or not, and the interface."""
    set_time(actor / changed, NEW_S + 60)
    assert stale(actor)


def test_a_missing_component_is_stale(actor: Path) -> None:
    """There is nothing to keep."""
    (actor / "chat.wasm").unlink()
    assert stale(actor)


def test_a_source_that_is_no_python_is_left_to_the_build(actor: Path) -> None:
    """Looking for imports does not fail on it; its own time still counts."""
    (actor / "chat.py").write_text("def broken(:\n")
    assert stale(actor)
