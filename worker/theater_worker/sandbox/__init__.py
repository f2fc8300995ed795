"""The second wall around an actor: what the worker process can still do if a guest escapes wasmtime.

`tidy_up` when the process starts, `lock_down` when the component is mapped and before a guest's first
instruction. Best effort by what the system has, and honest about it: the level says how much holds.
"""

import hashlib
import linecache
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Final

from theater_worker.sandbox import landlock, seccomp
from theater_worker.sandbox.hygiene import (
    bound_compiler,
    bound_memory,
    drop_capabilities,
    forbid_processes,
    tidy_up,
)
from theater_worker.sandbox.memory import take_code_writing_away

__all__ = ["FULL", "NONE", "SECCOMP_ONLY", "bound_compiler", "lock_down", "tidy_up"]

FULL: Final = 2  # seccomp and Landlock
SECCOMP_ONLY: Final = 1
NONE: Final = 0  # another system, a kernel without seccomp, or code that can be written


def lock_down(read_fd: int, write_fds: tuple[int, ...], memory_bytes: int, start: Callable[[], None]) -> int:
    """Give up everything but reading `read_fd` and writing `write_fds`, for good; return the level reached.

    `start` starts the process's threads; afterwards no thread, process, file or socket can be had, no code be
    mapped or changed: the process is to end by `os._exit`. `memory_bytes` is what the guest may have.
    """
    _warm_up()
    bound_memory(memory_bytes)
    # Landlock takes the process's own map away, too.
    no_code_is_writable = take_code_writing_away()
    # Landlock holds the threads that come after it, seccomp all that are there.
    has_landlock = landlock.deny_all()
    drop_capabilities()
    start()
    forbid_processes()
    if not seccomp.install(read_fd, write_fds) or not no_code_is_writable:
        return NONE
    return FULL if has_landlock else SECCOMP_ONLY


def _warm_up() -> None:
    """Do now what libraries would put off until they are first used, and could not do any more then."""
    # OpenSSL reads its configuration file.
    hashlib.sha256(b"").digest()
    hashlib.shake_256(b"").digest(1)
    # Tracebacks show lines of source files, which nobody can read from here on; what prints them by itself,
    # the interpreter in C, does not ask linecache.
    linecache.updatecache = lambda *_: []
    sys.excepthook = traceback.print_exception
    sys.unraisablehook = lambda failure: traceback.print_exception(failure.exc_value)
    threading.excepthook = lambda failure: traceback.print_exception(failure.exc_value)
