"""What the C library does with the memory of large messages and states; nothing where it is not glibc."""

import ctypes
from typing import Final

_LIBC: Final = ctypes.CDLL(None)
# mallopt(3): M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
_MALLOC_OPTIONS: Final = {-3: 4 * 1024 * 1024, -1: 8 * 1024 * 1024}


def keep_buffers() -> None:
    """Let buffers of less than 4 MiB be used again, and up to 8 MiB of free memory be kept for them.

    Else each one is got from the system anew, page by page: 0.2 to 1 ms for 1 MiB, on a virtual machine.
    """
    if hasattr(_LIBC, "malloc_trim"):  # glibc
        for option, octets in _MALLOC_OPTIONS.items():
            _LIBC.mallopt(option, octets)
