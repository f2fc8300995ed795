"""The few calls into the kernel that Python has no name for, by ctypes.

Linux only: elsewhere `architecture()` is None, and nobody may call the rest. What is called, and when, is
decided in the modules beside this one.
"""

import ctypes
import os
import platform
import sys
from typing import Final, Literal

Architecture = Literal["x86_64", "aarch64"]

_PR_SET_NO_NEW_PRIVS: Final = 38
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_MACHINES: Final[dict[str, Architecture]] = {
    "x86_64": "x86_64",
    "amd64": "x86_64",
    "aarch64": "aarch64",
    "arm64": "aarch64",
}


def architecture() -> Architecture | None:
    """Return the machine's architecture if its system call numbers are known here, else None."""
    # A 32-bit interpreter on a 64-bit kernel makes other calls than its machine's name says.
    if sys.platform != "linux" or sys.maxsize < 1 << 32:
        return None
    return _MACHINES.get(platform.machine().lower())


def syscall(number: int, *arguments: object) -> int:
    """Make a system call with ints and ctypes pointers; return its result. Raises OSError."""
    ctypes.set_errno(0)
    converted = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    _LIBC.syscall.restype = ctypes.c_long
    result: int = _LIBC.syscall(ctypes.c_long(number), *converted)
    if result == -1:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
    return result


def forbid_new_privileges() -> None:
    """Let no program that this process runs gain privileges: what seccomp and Landlock ask for first."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def prctl(option: int, value: int = 0) -> None:
    """Change something about this process, prctl(2). Raises OSError."""
    zero = ctypes.c_ulong(0)
    if _LIBC.prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero) == -1:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
