"""Giving memory back to the system after a crowd, and when one has gone; and keeping some for large messages.

glibc keeps what was freed below anything that is still in use, which after a thousand connections is nearly
all of it. Elsewhere than on glibc nothing is done. Who is counted, and when there is time for it, is decided
elsewhere.
"""

import ctypes
import gc
from typing import Final

# Collections of the middle generation, each of some 7,000 objects that have come and not gone.
_FULL_COLLECTION_AFTER: Final = 50
_LIBC: Final = ctypes.CDLL(None)
_TRIM: Final = getattr(_LIBC, "malloc_trim", None)
# mallopt(3): M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
_MALLOC_OPTIONS: Final = {-3: 4 * 1024 * 1024, -1: 8 * 1024 * 1024}


class Crowd:
    """How many there are, in waves: says when one has ebbed."""

    def __init__(self, at_least: int) -> None:
        self._at_least = at_least
        self._most = 0

    def ebbed(self, count: int) -> bool:
        """Note how many there are now; True when half of a crowd has gone since this was last so."""
        self._most = max(self._most, count)
        if self._most < self._at_least or count > self._most // 2:
            return False
        self._most = count
        return True


def keep_for_good() -> None:
    """Take what there is out of the garbage collector's sight, for it is there to stay.

    A full collection visits every object, and the event loop waits: 50 to 80 ms for what start-up leaves, 100
    for a thousand connections. So they come more rarely too, for connections leave nothing that needs one.
    """
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], _FULL_COLLECTION_AFTER)


def keep_buffers() -> None:
    """Let buffers of less than 4 MiB be used again, and up to 8 MiB of free memory be kept for them.

    By itself glibc returns what a large message took and gets it anew for the next one, page by page: to
    decode 1 MiB takes 1.3 ms then instead of 0.3, on a virtual machine.
    """
    if _TRIM is not None:  # glibc
        for option, octets in _MALLOC_OPTIONS.items():
            _LIBC.mallopt(option, octets)


def give_back() -> None:
    """Return what is free to the system (malloc_trim(3)); takes about ten ms for a hundred MiB.

    What a crowd leaves in cycles is collected first; what start-up left is not visited for that.
    """
    gc.collect()
    if _TRIM is not None:
        _TRIM(0)
