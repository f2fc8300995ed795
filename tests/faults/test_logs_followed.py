"""`tail -F` across rotations: it shows every line that was written, once and in order."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.counts import FULL, repeats
from theater_supervisor.logs.rotation import FOLLOW_S, RotatingFile

PATIENCE_S = 60.0
ROTATIONS = repeats(50)
LINES_EACH = 20_000
BATCH = 500


@contextmanager
def followed(path: Path) -> Iterator[Path]:
    """Follow `path` by its name; give the file with what the follower shows."""
    shown = path.with_name("shown")
    with shown.open("wb") as output:
        command = ["tail", "-n", "+1", "-s", "0.05", "-F", str(path)]
        tail = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
    try:
        yield shown
    finally:
        tail.kill()
        tail.wait()


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.002)


@pytest.mark.campaign
@pytest.mark.timeout(600 if FULL else 120)
def test_a_follower_sees_every_line(tmp_path: Path) -> None:
    """Rotated again as soon as the follower has come after, and no later: seen is written."""
    path = tmp_path / "chat.log"
    now_s = [0.0]
    line_bytes = len(line(0))
    file = RotatingFile(path, LINES_EACH * line_bytes, ROTATIONS + 2, clock=lambda: now_s[0])
    total = (ROTATIONS + 1) * LINES_EACH
    with followed(path) as shown:
        for begin in range(0, total, BATCH):
            assert file.write([line(number) for number in range(begin, begin + BATCH)]) == BATCH
            if begin % LINES_EACH == 0:
                until(lambda begin=begin: shown.stat().st_size > begin * line_bytes)  # type: ignore[misc]
                now_s[0] += FOLLOW_S
        until(lambda: shown.stat().st_size >= total * line_bytes)
    assert len(list(tmp_path.glob("chat.log.*"))) == ROTATIONS
    with shown.open("rb") as output:
        for number, seen in enumerate(output):
            assert seen == line(number)
    assert number == total - 1


def line(number: int) -> bytes:
    """One line of an actor's log."""
    return f"2026-11-22T19:07:02.123456Z chat/17 E line {number:09}\n".encode()
