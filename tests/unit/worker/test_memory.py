"""Memory that can be written and run: what is found in a map, and that a locked worker has none."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sandboxed import needs_level
from tests.unit.worker.process import WorkerProcess, start_frame, texts
from theater_worker.sandbox.memory import Mapping, dangerous, parse

MAPS = """\
55d0c6a00000-55d0c6a21000 r-xp 00002000 fe:00 339490                     /usr/lib/libffi.so.8.1.2
55d0c6a21000-55d0c6a22000 rw-p 0000a000 fe:00 339490                     /usr/lib/libffi.so.8.1.2
7f0000000000-7f0000001000 rwxp 00000000 00:00 0
7f0000001000-7f0000002000 rw-s 00000000 00:01 2049                       /memfd:libffi (deleted)
7f0000002000-7f0000003000 r-xs 00000000 00:01 2049                       /memfd:libffi (deleted)
7f0000003000-7f0000004000 rw-s 00000000 00:01 2050                       /dev/zero (deleted)
7ffd00000000-7ffd00021000 rwxp 00000000 00:00 0                          [stack]
"""


def test_what_can_be_written_and_run_is_found() -> None:
    """In one place, and in two of the same file; not a library's own data, which are copies."""
    assert list(dangerous(parse(MAPS))) == [
        Mapping(0x7F0000000000, 0x7F0000001000, "rwxp"),
        Mapping(0x7F0000001000, 0x7F0000002000, "rw-s", "00:01 2049"),
        Mapping(0x7FFD00000000, 0x7FFD00021000, "rwxp", is_stack=True),
    ]


@needs_level(1)
@pytest.mark.skipif(os.geteuid() != 0, reason="an undumpable process's files are root's")
def test_a_ready_worker_has_no_memory_to_write_and_run() -> None:
    """Before its first event and after some of all kinds, a fresh instance among them; then it ends well."""
    with WorkerProcess() as worker:
        worker.start(start_frame("probe"))
        maps = Path("/proc", str(worker.process.pid), "maps")
        before = maps.read_text()
        worker.results(texts("spin", "grow", "hello"))
        after = maps.read_text()
        worker.stop()
        assert worker.process.returncode == 0
    for text in (before, after):
        assert "libffi" in text
        assert list(dangerous(parse(text))) == []


# Locks itself down, then writes machine code where it can: in a page that a callback has made or, where the
# stack can be run, there. Says the level before.
INTRUDER = """
import ctypes, os, re, sys
import theater_worker.__main__, theater_worker.component
from theater_worker.sandbox import lock_down, memory
EXTRA
callback = ctypes.CFUNCTYPE(None)(lambda: None)
page = re.search("^([0-9a-f]+)-([0-9a-f]+) rwxp", open("/proc/self/maps").read(), re.M)
level = lock_down(0, (1, 2), 256 << 20, lambda: None)
os.write(1, b"%d" % level)
ctypes.memset(int(page[2], 16) - 64 if page else 0, 0xC3, 1)
os._exit(7)
"""


def intrude(extra: str = "") -> subprocess.CompletedProcess[str]:
    """Run the intruder, with `extra` before it is locked down."""
    code = INTRUDER.replace("EXTRA", extra)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@needs_level(1)
def test_code_cannot_be_written_after_the_lock() -> None:
    """The page of a callback is there and can be run, and whoever writes to it is killed by the kernel."""
    done = intrude()
    assert (done.returncode, int(done.stdout) >= 1) == (-signal.SIGSEGV, True), done.stderr


@pytest.mark.parametrize("extra", ["memory._protect = lambda *_: None", "memory._MAPS = memory.Path('/no')"])
def test_where_it_cannot_be_taken_away_the_level_says_so(extra: str) -> None:
    """Seccomp and Landlock are there, but no promise is made that does not hold."""
    assert intrude(extra).stdout == "0"


def test_callbacks_still_run_where_they_were_made() -> None:
    """What is taken away is writing: a callback made before is called through its page."""
    calls = "import ctypes; from theater_worker.sandbox.memory import take_code_writing_away as take;"
    calls += "f = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda n: n + 1); take();"
    calls += "import os; os.write(1, b'%d' % f(41)); os._exit(0)"
    done = subprocess.run([sys.executable, "-c", calls], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "42")
