"""Landlock: no files, no TCP, no abstract sockets and no signals to others, for the calls seccomp lets pass.

A ruleset without rules denies everything it handles; what it can handle depends on the kernel's ABI. Holds
the calling thread and those it starts. Source: landlock(7), linux/landlock.h.
"""

import ctypes
import os
from typing import Final

from theater_worker.sandbox.kernel import architecture, forbid_new_privileges, syscall

_CREATE_RULESET: Final = 444  # both architectures have the same numbers
_RESTRICT_SELF: Final = 446
_ASK_VERSION: Final = 1

# By ABI: how many rights on files there are, then on TCP ports, then scopes.
_RIGHTS: Final = {
    1: (13, 0, 0),
    2: (14, 0, 0),
    3: (15, 0, 0),
    4: (15, 2, 0),
    5: (16, 2, 0),
    6: (16, 2, 2),
}


def abi() -> int:
    """Return the version of Landlock that the kernel has, 0 for none."""
    if architecture() is None:
        return 0
    try:
        return syscall(_CREATE_RULESET, 0, 0, _ASK_VERSION)
    except OSError:
        return 0


def deny_all() -> bool:
    """Deny this thread and its future ones all that Landlock handles, for good; False where there is none."""
    version = abi()
    if version == 0:
        return False
    counts = _RIGHTS[min(version, max(_RIGHTS))]
    rights = (ctypes.c_uint64 * len(counts))(*((1 << count) - 1 for count in counts))
    # An older kernel knows a shorter struct and takes a longer one if the rest is zero.
    try:
        forbid_new_privileges()
        ruleset_fd = syscall(_CREATE_RULESET, ctypes.byref(rights), ctypes.sizeof(rights), 0)
        syscall(_RESTRICT_SELF, ruleset_fd, 0)
    except OSError:
        return False
    os.close(ruleset_fd)
    return True
