"""When a component is made again, and what is said where it can't be."""

import os
from pathlib import Path

import pytest

from theater_supervisor.components import build
from theater_supervisor.components.build import BuildFailed, made_of, must_build, wit_file
from theater_supervisor.components.record import BuiltFrom, append_record, read_record
from theater_supervisor.components.sources import read_sources

WORLD = "websocket-actor"
WASM = b"\0asm\x0d\0\1\0"


@pytest.fixture
def actor(tmp_path: Path) -> Path:
    """An actor's directory with a component that was built from what is there."""
    (tmp_path / "chat.py").write_text("import json\nfrom rooms import open_room\n")
    (tmp_path / "rooms.py").touch()
    component(tmp_path, made_of(read_sources(tmp_path / "chat.py"), WORLD))
    return tmp_path


def component(actor: Path, built_from: BuiltFrom | None) -> None:
    """Write a component that says what it was built from, if that is given."""
    (actor / "chat.wasm").write_bytes(WASM)
    if built_from:
        append_record(actor / "chat.wasm", built_from)


def is_stale(actor: Path, world: str = WORLD) -> bool:
    """Ask about the actor's component."""
    return must_build(actor / "chat.wasm", actor / "chat.py", world) is not None


@pytest.mark.parametrize("changed", ["chat.py", "rooms.py"])
def test_a_component_made_of_something_else_is_stale(actor: Path, changed: str) -> None:
    """Its source, or what that imports from beside it."""
    with (actor / changed).open("a") as stream:
        stream.write("# changed\n")
    assert is_stale(actor)


def test_a_component_for_another_world_is_stale(actor: Path) -> None:
    """The world decides what it exports."""
    assert is_stale(actor, "websocket-actor-with-init")


@pytest.mark.parametrize("at_s", [0, 4_000_000_000], ids=["long ago", "in the future"])
def test_times_do_not_make_a_component_stale(actor: Path, at_s: int) -> None:
    """Neither a touch, nor a clock that was wrong, nor what a copy or a checkout makes of times."""
    for name in ("chat.py", "rooms.py"):
        os.utime(actor / name, (at_s, at_s))
    assert not is_stale(actor)
    os.utime(actor / "chat.wasm", (at_s, at_s))
    assert not is_stale(actor)


def test_a_missing_component_is_stale(actor: Path) -> None:
    """There is nothing to keep."""
    (actor / "chat.wasm").unlink()
    assert is_stale(actor)


def test_a_component_for_another_interface_is_stale(actor: Path) -> None:
    """With a new theater.wit it is made anew, where it can be."""
    component(actor, BuiltFrom(made_of(read_sources(actor / "chat.py"), WORLD).sources, bytes(32)))
    assert is_stale(actor)


def test_a_component_that_says_nothing_is_stale(actor: Path) -> None:
    """It may be of any making, and is made anew, where it can be."""
    component(actor, None)
    assert is_stale(actor)


@pytest.mark.parametrize("what", ["another interface", "nothing"])
def test_without_the_builder_what_may_be_right_is_served(
    actor: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A component that came with its source needs no componentize-py, however new this supervisor is."""
    monkeypatch.setattr(build, "_can_build", lambda: False)
    sources = made_of(read_sources(actor / "chat.py"), WORLD).sources
    component(actor, BuiltFrom(sources, bytes(32)) if what == "another interface" else None)
    assert not is_stale(actor)


@pytest.mark.parametrize("what", ["is missing", "was built from other sources"])
def test_without_the_builder_what_cannot_be_right_is_refused(
    actor: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has a command that works: the distribution and the versions that are wanted."""
    monkeypatch.setattr(build, "_can_build", lambda: False)
    if what == "is missing":
        (actor / "chat.wasm").unlink()
    else:
        (actor / "chat.py").write_text("")
    with pytest.raises(BuildFailed) as refused:
        is_stale(actor)
    assert f"chat.wasm {what}, and componentize-py is missing (install it: " in str(refused.value)
    assert "-m pip install 'componentize-py" in str(refused.value)


def test_a_source_that_is_no_python_is_refused(actor: Path) -> None:
    """Before anything is built."""
    (actor / "chat.py").write_text("def broken(:\n")
    with pytest.raises(BuildFailed, match=r"chat\.py, line 1: invalid syntax"):
        is_stale(actor)


def test_a_record_is_found_again(actor: Path) -> None:
    """At the component's end; a component too short for one has none."""
    built_from = BuiltFrom(b"s" * 32, b"w" * 32)
    component(actor, built_from)
    assert read_record(actor / "chat.wasm") == built_from
    component(actor, None)
    assert read_record(actor / "chat.wasm") is None
    assert wit_file().is_file()
