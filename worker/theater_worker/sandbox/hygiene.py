"""What a worker gives up as soon as it starts: descriptors, privileges, resources that it does not need.

Needs no special kernel, and is no wall by itself: the walls are seccomp and Landlock. Where a system lacks
one of these, the rest still holds.
"""

import contextlib
import ctypes
import fcntl
import os
import resource
import sys
import termios
from pathlib import Path
from typing import Final

from theater_worker.sandbox.kernel import architecture, forbid_new_privileges, prctl, syscall

# Sacrificed before anything else of the machine when its memory runs out; the supervisor replaces it.
_OOM_SCORE: Final = 800
_MAX_FDS: Final = 128
# The interpreter, wasmtime, frames on their way, and copies of the state, besides the guest's own memory.
_OVERHEAD_BYTES: Final = 768 << 20
_MAX_COMPILER_BYTES: Final = 8 << 30
_MAX_COMPILED_BYTES: Final = 2 << 30
_MAX_COMPILER_CPU_S: Final = 1800

_PR_SET_DUMPABLE: Final = 4
_PR_CAPBSET_DROP: Final = 24
_CAPSET: Final = {"x86_64": 126, "aarch64": 91}
_CAPABILITY_VERSION: Final = 0x20080522


def tidy_up() -> None:
    """Do what can be done before anything is known of the actor.

    Closes all descriptors but the standard ones. A new process cannot gain privileges, be traced or dumped by
    its own user, or write files; it has no terminal; the working directory is `/`.
    """
    _give_up_terminal()
    os.closerange(3, 1 << 16)
    os.umask(0o077)
    os.chdir("/")
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, _MAX_FDS)
    if sys.platform == "linux":
        _limit(resource.RLIMIT_MEMLOCK, 0)
        _limit(resource.RLIMIT_MSGQUEUE, 0)
        # Before it is undumpable: from then on these files are root's.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE))
        prctl(_PR_SET_DUMPABLE, 0)
        forbid_new_privileges()


def _give_up_terminal() -> None:
    """Let go of the terminal that the supervisor may have been started from, as a session of its own would.

    The process stays in the supervisor's session, because a kernel with `sched_autogroup_enabled` shares the
    processors out between sessions: what these two hand to each other would wait for the neighbours' turns.
    """
    with contextlib.suppress(OSError):  # there is none
        terminal_fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(terminal_fd, termios.TIOCNOTTY)
        finally:
            os.close(terminal_fd)


def bound_compiler() -> None:
    """Bound what compiling may take, of which the component decides: memory, time, and the size of a file.

    The compiler's process has files to read and write, so it is not locked down. It runs no code of a guest.
    """
    os.umask(0o077)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, _MAX_COMPILER_CPU_S)
    _limit(resource.RLIMIT_FSIZE, _MAX_COMPILED_BYTES)
    if sys.platform == "linux":
        _limit(resource.RLIMIT_DATA, _MAX_COMPILER_BYTES)
        forbid_new_privileges()


def bound_memory(guest_bytes: int) -> None:
    """Bound the process's memory to what the guest may have and what the worker needs.

    RLIMIT_DATA, because it counts what is writable; RLIMIT_AS would count the 4 GiB that wasmtime reserves
    for each memory and never touches.
    """
    if sys.platform == "linux":
        _limit(resource.RLIMIT_DATA, guest_bytes + _OVERHEAD_BYTES)


def drop_capabilities() -> None:
    """Give up root's privileges, of which a worker needs none once its component is mapped."""
    machine = architecture()
    if machine is None:
        return
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    none_at_all = (ctypes.c_uint32 * 6)()
    with contextlib.suppress(OSError):
        for capability in range(64):
            prctl(_PR_CAPBSET_DROP, capability)
    with contextlib.suppress(OSError):
        syscall(_CAPSET[machine], ctypes.byref(header), ctypes.byref(none_at_all))


def forbid_processes() -> None:
    """Let this user start no more processes or threads from here (root without capabilities included)."""
    if sys.platform == "linux":
        _limit(resource.RLIMIT_NPROC, 0)


def _limit(kind: int, most: int) -> None:
    """Lower a limit for good; one that is lower already stays."""
    _, hard = resource.getrlimit(kind)
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(kind, (wanted, wanted))
