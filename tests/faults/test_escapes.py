"""Native code in a locked worker tries every way out: it is killed, or refused."""

import json
import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.faults.escaping_worker import ATTEMPTS, HARMLESS
from tests.sandboxed import needs_level, probe
from tests.unit.worker.process import start_frame
from theater_protocol.framing import encode_frame
from theater_protocol.items import to_item

SCRIPT = Path(__file__).with_name("escaping_worker.py")
BY_LANDLOCK = [
    name for name, one in ATTEMPTS.items() if 0 < one.by_landlock <= int(str(probe()["landlock_abi"]))
]
REFUSALS = {"EACCES", "EPERM"}


@pytest.fixture(scope="module")
def start_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the Start frame of a worker for the echo actor."""
    path = tmp_path_factory.mktemp("start") / "frame"
    path.write_bytes(encode_frame(to_item(start_frame("echo"))))
    return path


@cache
def reports(start_file: Path, wall: str) -> dict[str, dict[str, object]]:
    """Try everything against this wall, once for all tests."""
    names = [*HARMLESS, *(BY_LANDLOCK if wall == "landlock" else ATTEMPTS)]
    command = [sys.executable, str(SCRIPT), str(start_file), wall, *names]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=100)
    found: dict[str, dict[str, object]] = json.loads(done.stdout)
    return found


def killed_by(report: dict[str, object]) -> int | None:
    """The signal that a worker ended by."""
    status = report["status"]
    assert isinstance(status, int)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else None


@needs_level(1)
@pytest.mark.parametrize("wall", ["both", "seccomp", "landlock"])
def test_a_call_that_is_needed_gets_through(wall: str, start_file: Path) -> None:
    """So what kills the others is the call they make, not the attempt to make one."""
    (name,) = HARMLESS
    report = reports(start_file, wall)[name]
    assert str(report["said"]).startswith("done: ")
    assert report["status"] == 0


@needs_level(2)
@pytest.mark.parametrize("name", ATTEMPTS)
def test_a_locked_worker_cannot_get_out(name: str, start_file: Path) -> None:
    """The kernel kills the worker at the call, before it has any effect."""
    report = reports(start_file, "both")[name]
    assert report["level"] == 2
    assert report["said"] is None
    assert killed_by(report) == signal.SIGSYS


@needs_level(1)
@pytest.mark.parametrize("name", ATTEMPTS)
def test_seccomp_holds_without_landlock(name: str, start_file: Path) -> None:
    """A kernel without Landlock has level 1, and the same calls are deadly."""
    report = reports(start_file, "seccomp")[name]
    assert report["level"] == 1
    assert report["said"] is None
    assert killed_by(report) == signal.SIGSYS


@needs_level(2)
@pytest.mark.parametrize("name", BY_LANDLOCK)
def test_landlock_holds_without_seccomp(name: str, start_file: Path) -> None:
    """Were a call to slip through the filter, files and other processes stay out of reach: it is refused."""
    report = reports(start_file, "landlock")[name]
    assert report["level"] == 0
    assert report["said"] in REFUSALS
    assert killed_by(report) is None
