"""The supervisor's own log file: JSON lines that are rotated, and no harm from a full disk."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from theater_supervisor.logs import rotation
from theater_supervisor.watch import eventlog
from theater_supervisor.watch.eventlog import (
    LogOptions,
    goes_to_journald,
    log_to_file,
    log_to_terminal,
    to_journald,
)

OPTIONS = LogOptions(file_mib=1, files=3, total_mib=16)


@pytest.fixture(autouse=True)
def _unconfigured() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_events_are_json_lines_in_files_of_a_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is logged is read back, in order, from the rotated file and the current one."""
    path = tmp_path / "log" / "supervisor.log"
    file = log_to_file(path, OPTIONS, OPTIONS.budget(path.parent))
    log = structlog.get_logger()
    for number in range(13):
        log.info("worker_ready", number=number, filler="x" * 100_000)
    log.debug("hidden")
    file.close()
    lines = (path.with_name("supervisor.log.1").read_text() + path.read_text()).splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(13))
    assert path.with_name("supervisor.log.1").stat().st_size <= 1024 * 1024


def test_a_failure_has_its_traceback_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is a field of the event's one line."""
    path = tmp_path / "supervisor.log"
    file = log_to_file(path, OPTIONS, OPTIONS.budget(tmp_path))
    try:
        raise ValueError("oh")
    except ValueError:
        structlog.get_logger().exception("actor_broken")
    file.close()
    [line] = path.read_text().splitlines()
    assert "ValueError: oh" in json.loads(line)["exception"]


def test_a_full_disk_is_told_on_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The event is not lost for who looks, and nothing is raised."""
    monkeypatch.setattr(rotation, "open_regular", os.open)  # a device stands in for the disk
    file = log_to_file(Path("/dev/full"), OPTIONS, OPTIONS.budget(tmp_path))
    structlog.get_logger().info("worker_ready", actor="chat")
    file.close()
    assert "log_file" in (shown := capsys.readouterr().err)
    assert "not written" in shown


def test_journald_is_known_by_its_stream() -> None:
    """JOURNAL_STREAM may be inherited by a process whose stderr goes elsewhere."""
    read_fd, write_fd = os.pipe()
    status = os.fstat(write_fd)
    here = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    try:
        assert goes_to_journald(here, write_fd)
        assert not goes_to_journald({"JOURNAL_STREAM": "8:1"}, write_fd)
        assert not goes_to_journald({}, write_fd)
    finally:
        os.close(read_fd)
        os.close(write_fd)
    assert not goes_to_journald(here, write_fd)


def test_every_line_to_journald_has_its_priority() -> None:
    """A traceback's lines belong to their event; times are journald's own."""
    event = {"event": "actor_broken", "level": "error", "timestamp": "2026", "exception": "one\ntwo"}
    lines = to_journald(None, "error", event).splitlines()
    assert all(line.startswith("<3>") for line in lines)
    assert len(lines) == 3
    assert "2026" not in lines[0]


@pytest.mark.parametrize("journald", [False, True], ids=["terminal", "journald"])
def test_what_others_wrote_is_escaped_on_stderr(
    journald: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Values, lists, names of events and the words of exceptions; none of the variables beside them."""
    monkeypatch.setattr(eventlog, "goes_to_journald", lambda *_: journald)
    log_to_terminal("info")
    log = structlog.get_logger()
    log.info("told\x1b[2J", agent="a\u202eb", words="two\x9b words", names=["\u200bx\ufe0f", {"\x1b": 1}])
    try:
        secret = "a-variable-that-nobody-shall-see"  # noqa: F841
        raise ValueError("bad\x1b[31m\u202e\rfirst\nsecond")
    except ValueError:
        log.exception("actor_broken")
    shown = capsys.readouterr().err
    assert all(line.isprintable() for line in shown.splitlines())
    assert "agent=a\\u202eb" in shown
    assert "words='two\\x9b words'" in shown
    assert "names=['\\u200bx\\ufe0f', {'\\x1b': 1}]" in shown
    assert "ValueError: bad\\x1b[31m\\u202e" in shown
    assert "a-variable" not in shown.replace('secret = "a-variable-that-nobody-shall-see"', "")
