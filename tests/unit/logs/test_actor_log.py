"""An actor's log file: stamped lines, within a rate, and an account of those that are not there."""

import os
import re
from pathlib import Path

import pytest

from theater_supervisor.logs import actor_log as logs
from theater_supervisor.logs import rotation
from theater_supervisor.logs.actor_log import ActorLog
from theater_supervisor.logs.lines import Line
from theater_supervisor.manifest.tables import LogConfig


def test_the_file_has_one_stamped_line_each(tmp_path: Path) -> None:
    """Time, actor and incarnation, stream, text; debug lines only when asked for."""
    echoed: list[str] = []
    log = ActorLog(tmp_path / "chat.log", "chat", debug=False, echo=echoed.append)
    log.write(17, [Line("L", "one"), Line("D", "hidden"), Line("O", "two")])
    log.mark(17, "spawned pid 812")
    log.note(17, "hidden too")
    log.close()
    log.close()
    lines = (tmp_path / "chat.log").read_text().splitlines()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z "
    assert [re.sub(f"^{stamp}", "", line) for line in lines] == echoed
    assert echoed == ["chat/17 L one", "chat/17 O two", "chat/17 S spawned pid 812"]


def test_a_full_disk_costs_lines_not_the_actor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing write is counted and nothing is raised."""
    monkeypatch.setattr(rotation, "open_regular", os.open)  # a device stands in for the disk
    log = ActorLog(Path("/dev/full"), "chat", debug=True, echo=None)
    log.write(1, [Line("E", "a"), Line("E", "b")])
    log.close()
    assert log.lost_lines == 2


def texts(path: Path) -> list[str]:
    """The lines of a log without their stamps."""
    return [line.split(" ", 1)[1] for line in path.read_text().splitlines()]


def test_what_a_full_disk_cost_is_told_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line with the exact count and the cause, before the first line that could be written."""
    log = ActorLog(tmp_path / "chat.log", "chat", debug=False, echo=None)
    with monkeypatch.context() as full:
        full.setattr(os, "write", no_space)
        log.write(1, [Line("E", "a"), Line("E", "b")])
        log.mark(1, "c")
    log.write(2, [Line("E", "d")])
    log.write(2, [Line("E", "e")])
    assert texts(tmp_path / "chat.log") == [
        "chat/2 S 3 lines lost: No space left on device",
        "chat/2 E d",
        "chat/2 E e",
    ]
    assert log.lost_lines == 3


def no_space(fd: int, data: bytes) -> int:
    """Write as a full disk does."""
    raise OSError(28, "No space left on device")


def test_a_flood_is_counted_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines written and lines suppressed are all there were; the gaps say their sizes where they are."""
    now_s = [0.0]
    monkeypatch.setattr(logs.time, "monotonic", lambda: now_s[0])
    config = LogConfig(rate_kib_per_s=4, burst_kib=64)
    log = ActorLog(tmp_path / "chat.log", "chat", debug=False, echo=None, config=config)
    stream = log.stream(1)
    data = b"".join(b"line %d\n" % number for number in range(20_000))
    for at in range(0, len(data), 1000):
        stream.feed(data[at : at + 1000])
        now_s[0] += 0.05
    stream.close()
    written = [
        int(text.removeprefix("chat/1 E line ")) for text in texts(tmp_path / "chat.log") if " E " in text
    ]
    gaps = [int(text.split()[2]) for text in texts(tmp_path / "chat.log") if " S " in text]
    assert len(written) + sum(gaps) == 20_000
    assert log.suppressed_lines == sum(gaps)
    assert 2 < len(gaps) < 20
    assert written == sorted(written)
    assert (tmp_path / "chat.log").stat().st_size < 64 * 1024 + 4 * 1024 * now_s[0] + 20_000
    assert texts(tmp_path / "chat.log")[-1].endswith(" lines suppressed: more than 4 KiB a second")


def test_what_was_suppressed_is_told_when_the_flood_pauses(tmp_path: Path) -> None:
    """While a count is pending the stream asks to be flushed; told once, it does not."""
    config = LogConfig(rate_kib_per_s=1, burst_kib=64)
    log = ActorLog(tmp_path / "chat.log", "chat", debug=False, echo=None, config=config)
    stream = log.stream(1)
    stream.feed(b"x" * 70_000 + b"\n")
    assert stream.flush_after_s is None
    stream.feed(b"one\ntwo\nthr")
    assert stream.flush_after_s == 1.0
    stream.flush()
    stream.flush()
    assert stream.flush_after_s is None
    stream.feed(b"ee\n")
    stream.close()
    gaps = [text for text in texts(tmp_path / "chat.log") if " S " in text]
    assert [gap.split()[2] for gap in gaps] == ["2", "1"]


def test_the_last_lines_of_an_incarnation_are_kept(tmp_path: Path) -> None:
    """Twenty at most, and none of another worker."""
    log = ActorLog(tmp_path / "chat.log", "chat", debug=False, echo=None)
    log.write(1, [Line("E", f"old {number}") for number in range(30)])
    log.write(2, [Line("E", f"new {number}") for number in range(5)])
    assert [line.split(" E ")[1] for line in log.last_lines(2, 20)] == [
        f"new {number}" for number in range(5)
    ]
    assert [line.split(" E ")[1] for line in log.last_lines(1, 3)] == ["old 27", "old 28", "old 29"]


def test_limits_can_be_changed_while_it_is_written(tmp_path: Path) -> None:
    """A smaller file size rotates with the next line."""
    log = ActorLog(tmp_path / "chat.log", "chat", debug=False, echo=None)
    log.write(1, [Line("E", "x" * 70_000)])
    log.configure(LogConfig(file_mib=0.0625, files=2))
    log.write(1, [Line("E", "next")])
    log.reopen()
    log.write(1, [Line("E", "last")])
    assert texts(tmp_path / "chat.log") == ["chat/1 E next", "chat/1 E last"]
    assert (tmp_path / "chat.log.1").stat().st_size > 70_000
