"""Which files go into a component, what tells them from others, and what is said of no Python."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from theater_supervisor.components import sources
from theater_supervisor.components.sources import read_sources

FILES = {
    "chat.py": "import json\nfrom rooms import open_room\nimport tiles.wood\ndef late():\n    import later\n",
    "rooms.py": "import doors\n",
    "doors.py": "",
    "later.py": "",
    "tiles/__init__.py": "from . import stone\nfrom .metal import iron\n",
    "tiles/stone.py": "",
    "tiles/metal.py": "",
    "tiles/wood.py": "from .stone import *\n",
    "unrelated.py": "",
    "tiles/unrelated.py": "",
    "installed/shelf/__init__.py": "",
}


@pytest.fixture
def actor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An actor's directory, and beside it what is installed."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(sources, "installed_packages", lambda: [tmp_path / "installed"])
    return tmp_path


def digest(actor: Path) -> bytes:
    """What the actor's sources hash to."""
    return read_sources(actor / "chat.py").sha256


@pytest.mark.parametrize("changed", [name for name in FILES if "unrelated" not in name])
def test_what_is_imported_counts(actor: Path, changed: str) -> None:
    """The source, what it imports from beside it, directly or not, wherever it does; what is installed."""
    with (actor / "chat.py").open("a") as stream:
        stream.write("import shelf\n")
    before = digest(actor)
    with (actor / changed).open("a") as stream:
        stream.write("# changed\n")
    assert digest(actor) != before


@pytest.mark.parametrize("changed", ["unrelated.py", "tiles/unrelated.py", "installed/shelf/__init__.py"])
def test_what_is_not_imported_does_not_count(actor: Path, changed: str) -> None:
    """A neighbour that nobody imports may change."""
    before = digest(actor)
    (actor / changed).write_text("changed = True\n")
    assert digest(actor) == before


def test_times_do_not_count(actor: Path) -> None:
    """Not a touch, and not a file from the future."""
    before = digest(actor)
    for name in FILES:
        os.utime(actor / name, (4_000_000_000, 4_000_000_000))
    assert digest(actor) == before


def test_a_module_beside_the_source_hides_an_installed_one(actor: Path) -> None:
    """As Python has it."""
    (actor / "installed" / "rooms.py").write_text("")
    before = digest(actor)
    (actor / "installed" / "rooms.py").write_text("changed = True\n")
    assert digest(actor) == before


NO_PYTHON: dict[str, tuple[bytes, int | None, str]] = {
    "syntax": (b"import json\n\ndef broken(:\n", 3, "invalid syntax (as Python "),
    "indentation": (b"if True:\npass\n", 2, "expected an indented block"),
    "a rule of the compiler's": (b"x = 1\nreturn x\n", 2, "'return' outside function"),
    "an encoding": (b"x = '\xff'\n", None, ""),
    "a null byte": (b"x = 1\0\n", None, ""),
    "too deep": (b"x = " + b"(" * 100_000 + b"\n", None, ""),
}


@pytest.mark.parametrize(("text", "line", "what"), NO_PYTHON.values(), ids=NO_PYTHON.keys())
def test_what_is_no_python_is_named(actor: Path, text: bytes, line: int | None, what: str) -> None:
    """With the file, the line where it has one, and what Python says, also in a module beside the source."""
    for name in ("rooms.py", "chat.py"):
        (actor / name).write_bytes(text)
        (fault,) = read_sources(actor / "chat.py").faults
        assert fault.file == actor / name
        assert line is None or fault.line == line
        assert fault.what.startswith(what)
        (actor / name).write_text(FILES[name])


def test_an_installed_module_may_be_for_another_python(actor: Path) -> None:
    """Whoever published it knows which files are ever imported."""
    (actor / "installed" / "shelf" / "__init__.py").write_text("from . import ancient\n")
    (actor / "installed" / "shelf" / "ancient.py").write_text("print 'hello'\n")
    (actor / "chat.py").write_text("import shelf\n")
    assert read_sources(actor / "chat.py").faults == ()


def unreadable(file: Path) -> None:
    """Make a directory of it."""
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("spoil", [Path.unlink, unreadable], ids=["missing", "a directory"])
def test_a_source_that_cannot_be_read_is_named(actor: Path, spoil: Callable[[Path], None]) -> None:
    """With what the system says."""
    spoil(actor / "chat.py")
    (fault,) = read_sources(actor / "chat.py").faults
    assert str(fault).startswith(f"{actor / 'chat.py'}: can't be read: ")
