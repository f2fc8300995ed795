"""Reading logs: the last lines, those since a time, several merged, and what comes across rotations."""

import datetime
import os
from contextlib import closing
from pathlib import Path

import pytest

from theater_supervisor.ctl.logfiles import Entry, Follower, last, log_names, merged, since


def line(second: int, text: str, name: str = "chat") -> str:
    """A line of a log."""
    return f"2026-11-22T19:07:{second:02}.000000Z {name}/1 E {text}"


def write(path: Path, *lines: str) -> None:
    """Append lines to a file."""
    with path.open("a") as stream:
        stream.writelines(f"{one}\n" for one in lines)


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    """A log of six lines, in three files, the newest two of them in the last."""
    path = tmp_path / "chat.log"
    for index, file in enumerate(("chat.log.2", "chat.log.1", "chat.log")):
        write(tmp_path / file, line(2 * index, f"{2 * index}"), line(2 * index + 1, f"{2 * index + 1}"))
    return path


def texts(entries: list[Entry]) -> list[str]:
    """The last word of each line."""
    return [entry.text.split()[-1] for entry in entries]


@pytest.mark.parametrize("count", range(8))
def test_the_last_lines_cross_rotations(chat: Path, count: int) -> None:
    """Any number of last lines, oldest first, and no more than there are."""
    assert texts(last("chat", chat, count)) == [str(n) for n in range(6)][max(0, 6 - count) :]


def test_the_last_lines_of_a_long_file(tmp_path: Path) -> None:
    """Lines longer than a block are whole, and only the end of the file is asked for."""
    path = tmp_path / "chat.log"
    long = "x" * 200_000
    write(path, line(1, "early"), line(2, long), line(3, "late"))
    assert texts(last("chat", path, 2)) == [long, "late"]


def test_lines_since_a_time(chat: Path) -> None:
    """From the first line at or after the time on, across rotations."""
    begin = datetime.datetime(2026, 11, 22, 19, 7, 3, tzinfo=datetime.UTC)
    for file in chat.parent.iterdir():
        os.utime(file, (begin.timestamp() + 60, begin.timestamp() + 60))
    assert texts(list(since("chat", chat, begin))) == ["3", "4", "5"]


def test_several_logs_are_merged_by_time(tmp_path: Path) -> None:
    """Lines of actors and JSON lines of the supervisor, in the order in which they were written."""
    write(tmp_path / "a.log", line(1, "first", "a"), line(4, "fourth", "a"))
    write(tmp_path / "b.log", line(2, "second", "b"))
    write(tmp_path / "supervisor.log", '{"event": "third", "timestamp": "2026-11-22T19:07:03.000000Z"}')
    assert log_names(tmp_path / "..") == []
    found = merged([last(name, tmp_path / f"{name}.log", 9) for name in ("supervisor", "b", "a")])
    assert [entry.log for entry in found] == ["a", "b", "supervisor", "a"]


def test_a_follower_sees_every_line_across_rotations(chat: Path) -> None:
    """What is written after it began: to the file, to the file as it is renamed, and to the new one."""
    with closing(Follower("chat", chat)) as follower:
        assert list(follower.new()) == []
        write(chat, line(10, "to-the-file"))
        assert texts(list(follower.new())) == ["to-the-file"]
        write(chat, line(11, "just-before"))
        chat.rename(chat.with_name("chat.log.1"))
        write(chat, line(12, "just-after"))
        assert texts(list(follower.new())) == ["just-before", "just-after"]


def test_a_follower_waits_for_whole_lines_and_missing_files(tmp_path: Path) -> None:
    """Half a line is shown with its end; a file that comes later is read from its beginning."""
    path = tmp_path / "chat.log"
    with closing(Follower("chat", path)) as follower:
        assert list(follower.new()) == []
        with path.open("w") as stream:
            stream.write("half a ")
            stream.flush()
            assert list(follower.new()) == []
            stream.write("line\n")
        assert [entry.text for entry in follower.new()] == ["half a line"]
        path.unlink()
        assert list(follower.new()) == []
        write(path, "new")
        assert [entry.text for entry in follower.new()] == ["new"]


def test_a_file_that_is_cut_is_followed_from_its_new_beginning(tmp_path: Path) -> None:
    """As logrotate's `copytruncate` does."""
    path = tmp_path / "chat.log"
    write(path, line(1, "old"))
    with closing(Follower("chat", path)) as follower:
        os.truncate(path, 0)
        write(path, line(2, "a"))
        assert texts(list(follower.new())) == ["a"]


def test_what_is_no_file_is_no_log(tmp_path: Path) -> None:
    """A pipe is not waited for, and not listed."""
    (tmp_path / "log").mkdir()
    os.mkfifo(tmp_path / "log" / "pipe.log")
    assert log_names(tmp_path) == []
    with pytest.raises(OSError, match="is a pipe"):
        last("pipe", tmp_path / "log" / "pipe.log", 1)
