"""Rotation by renaming: what is kept, when it happens, and what others may do to the files meanwhile."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.special_files import SPECIAL, place_special
from theater_supervisor.logs.budget import LogBudget
from theater_supervisor.logs.rotation import RotatingFile, generations

LINE_BYTES = 10


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the log is."""
    return tmp_path / "chat.log"


Numbered = Callable[[int], list[bytes]]


@pytest.fixture
def numbered() -> Numbered:
    """Make lines of LINE_BYTES that are numbered on and on."""
    numbers: Iterator[int] = iter(range(10**9))
    return lambda count: [f"{next(numbers):09}\n".encode() for _ in range(count)]


def rotating(path: Path, max_lines: int = 10, files: int = 3, follow_s: float = 0.0) -> RotatingFile:
    """A log of a few lines a file."""
    return RotatingFile(path, max_lines * LINE_BYTES, files, follow_s=follow_s, clock=Clock())


def numbers(*paths: Path) -> list[int]:
    """What is in these files."""
    return [int(line) for path in paths for line in path.read_text().splitlines()]


def test_the_newest_lines_are_kept_in_order(path: Path, numbered: Numbered) -> None:
    """Three files of ten lines: the oldest go, generations() has the rest from the oldest on."""
    file = rotating(path)
    for _ in range(11):
        assert file.write(numbered(4)) == 4
    assert [found.name for found in generations(path)] == ["chat.log.2", "chat.log.1", "chat.log"]
    assert numbers(*generations(path)) == list(range(24, 44))
    assert all(found.stat().st_size <= 10 * LINE_BYTES for found in generations(path))


def test_a_big_write_is_spread_over_files_at_line_ends(path: Path) -> None:
    """However much comes at once, no file is much too long and no line is cut."""
    file = RotatingFile(path, 100_000, 100, follow_s=0.0)
    assert file.write([f"{number:09}\n".encode() for number in range(50_000)]) == 50_000
    assert numbers(*generations(path)) == list(range(50_000))
    assert all(found.stat().st_size <= 100_000 for found in generations(path))


def test_followers_have_time_between_rotations(path: Path, numbered: Numbered) -> None:
    """Within follow_s of a rotation a file may double, but not more."""
    clock = Clock()
    file = RotatingFile(path, 10 * LINE_BYTES, 5, follow_s=6.0, clock=clock)
    file.write(numbered(10))
    file.write(numbered(10))
    file.write(numbered(10))
    assert [len(numbers(found)) for found in generations(path)] == [10, 20]
    file.write(numbered(1))
    assert [len(numbers(found)) for found in generations(path)] == [10, 20, 1]
    clock.now_s += 6.0
    file.write(numbered(10))
    assert [len(numbers(found)) for found in generations(path)] == [10, 20, 1, 10]


def test_fewer_files_than_before_remove_the_rest(path: Path, numbered: Numbered) -> None:
    """After a smaller `files` was configured the next rotation leaves only so many."""
    file = rotating(path, files=6)
    for _ in range(6):
        file.write(numbered(10))
    file.files = 2
    file.write(numbered(10))
    assert [found.name for found in generations(path)] == ["chat.log.1", "chat.log"]
    assert numbers(*generations(path)) == list(range(50, 70))


@pytest.mark.parametrize("removed", [True, False], ids=["removed", "renamed away"])
def test_a_file_that_others_take_away_is_made_anew(path: Path, numbered: Numbered, removed: bool) -> None:
    """The next line is in a new file of the name, and what was renamed stays as it was."""
    file = rotating(path)
    file.write(numbered(3))
    if removed:
        path.unlink()
    else:
        path.rename(path.with_name("kept"))
    file.write(numbered(2))
    assert numbers(path) == [3, 4]
    assert removed or numbers(path.with_name("kept")) == [0, 1, 2]


def test_a_file_that_others_put_there_is_continued(path: Path, numbered: Numbered) -> None:
    """As logrotate's `create` does; its length counts."""
    file = rotating(path)
    file.write(numbered(3))
    path.rename(path.with_name("kept"))
    path.write_bytes(b"".join(numbered(9)))
    file.write(numbered(2))
    assert [len(numbers(found)) for found in generations(path)] == [9, 2]


def test_reopen_goes_on_in_the_file_of_the_name(path: Path, numbered: Numbered) -> None:
    """Nothing is lost by it."""
    file = rotating(path)
    file.write(numbered(3))
    file.reopen()
    file.write(numbered(3))
    assert numbers(path) == list(range(6))


def test_a_restart_goes_on_where_the_file_ended(path: Path, numbered: Numbered) -> None:
    """The length that is there counts, so that no file gets too long."""
    for _ in range(4):
        file = rotating(path)
        file.write(numbered(6))
        file.close()
        file.close()
    assert [len(numbers(found)) for found in generations(path)] == [6, 6, 6]


def test_a_full_disk_says_how_many_lines_are_whole(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Half a line that was written before is ended before the next one."""
    file = rotating(path, max_lines=100)
    room = [25]

    def write(fd: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        taken, room[0] = data[: room[0]], room[0] - len(data[: room[0]])
        return real_write(fd, taken)

    real_write = os.write
    monkeypatch.setattr(os, "write", write)
    assert file.write([b"123456789\n"] * 4) == 2
    assert file.error is not None
    assert file.error.strerror == "No space left on device"
    assert file.write([b"lost\n"]) == 0
    room[0] = 1000
    assert file.write([b"after\n"]) == 1
    assert path.read_text() == "123456789\n123456789\n12345\nafter\n"


def test_a_rotation_that_fails_loses_nothing_yet(
    monkeypatch: pytest.MonkeyPatch, path: Path, numbered: Numbered
) -> None:
    """The file goes on growing up to its double; only then lines are lost rather than the disk filled."""
    file = rotating(path)
    file.write(numbered(10))

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "rename", refuse)
    assert file.write(numbered(10)) == 10
    assert file.write(numbered(1)) == 0
    assert numbers(path) == list(range(20))


FOREIGN = [
    "chat.log.01",
    "chat.log.\u0661",
    "chat.log.20260101",
    "chat.log.0",
    "chat.log.1.gz",
    "chat.log.+1",
]


@pytest.mark.parametrize("name", [*FOREIGN, *(f"chat.log.{number}/" for number in (1, 2, 3)), "chat.log.1@"])
def test_files_of_others_are_neither_taken_nor_in_the_way(
    tmp_path: Path, path: Path, numbered: Numbered, name: str
) -> None:
    """Copies and archives of an operator's stay, also over the budget; no line is lost beside them."""
    foreign = tmp_path / name.rstrip("/@")
    match name[-1]:
        case "/":
            foreign.mkdir()
        case "@":
            foreign.symlink_to("elsewhere")
        case _:
            foreign.write_bytes(b"x" * 50_000)
    budget = LogBudget(tmp_path, 4000)
    file = RotatingFile(path, 10 * LINE_BYTES, 4, budget=budget, follow_s=0.0, clock=Clock())
    for _ in range(6):
        assert file.write(numbered(10)) == 10
    assert foreign.is_symlink() or foreign.exists()
    assert numbers(*generations(path)) == list(range(20, 60))


def test_gaps_are_filled_and_too_many_removed(path: Path, numbered: Numbered) -> None:
    """An operator who removes one of the files loses no other by it."""
    file = rotating(path, files=5)
    for _ in range(5):
        file.write(numbered(10))
    path.with_name("chat.log.2").unlink()
    file.write(numbered(10))
    assert [found.name for found in generations(path)] == [
        *(f"chat.log.{number}" for number in (4, 3, 2, 1)),
        "chat.log",
    ]
    assert numbers(*generations(path)) == [*range(20), *range(30, 60)]


def test_a_directory_that_was_removed_is_made_anew(tmp_path: Path, numbered: Numbered) -> None:
    """With the next line."""
    file = rotating(tmp_path / "log" / "chat.log")
    file.write(numbered(1))
    (tmp_path / "log" / "chat.log").unlink()
    (tmp_path / "log").rmdir()
    assert file.write(numbered(2)) == 2
    assert numbers(tmp_path / "log" / "chat.log") == [1, 2]


def test_a_file_that_others_cut_has_its_room_again(path: Path, numbered: Numbered) -> None:
    """As logrotate's `copytruncate` does."""
    file = rotating(path)
    file.write(numbered(9))
    os.truncate(path, 0)
    file.write(numbered(9))
    assert generations(path) == [path]


@pytest.mark.parametrize("kind", [*SPECIAL, "device"])
def test_what_is_no_file_is_not_waited_for(path: Path, numbered: Numbered, kind: str) -> None:
    """At first it is refused; later its lines are lost, and the next ones are not when it has gone."""
    file = rotating(path)
    path.unlink()
    place_special(path, kind)
    with pytest.raises(OSError, match=f"is a {kind}, not a file"):
        rotating(path)
    assert file.write(numbered(1)) == 0
    path.rmdir() if kind == "directory" else path.unlink()
    assert file.write(numbered(1)) == 1


def test_all_logs_together_stay_below_the_budget(tmp_path: Path) -> None:
    """The oldest rotated files go first, whoever they belong to, even those of an actor that is gone."""
    (tmp_path / "gone.log.1").write_bytes(b"x" * 5000)
    os.utime(tmp_path / "gone.log.1", (1, 1))
    budget = LogBudget(tmp_path, 20_000)
    files = [
        RotatingFile(tmp_path / f"{name}.log", 4000, 10, budget=budget, follow_s=0.0) for name in ("a", "b")
    ]
    assert [file.limit_bytes for file in files] == [2500, 2500]
    assert (tmp_path / "gone.log.1").exists()
    for _ in range(300):
        for file in files:
            file.write([b"123456789\n"] * 10)
            assert sum(found.stat().st_size for found in tmp_path.iterdir()) <= 20_000
    assert not (tmp_path / "gone.log.1").exists()
    assert len(generations(tmp_path / "a.log")) >= 2
    files[0].close()
    assert files[1].limit_bytes == 4000
