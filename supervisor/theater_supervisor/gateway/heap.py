"""Giving memory back to the system after a crowd, and when one has gone.

glibc keeps what was freed below anything that is still in use, which after a thousand connections is nearly
all of it. Elsewhere than on glibc nothing is done. Who is counted, and when there is time for it, is decided
elsewhere.
"""

import ctypes
import gc
from typing import Final

# Collections of the middle generation, each of some 7,000 objects that have come and not gone.
_FULL_COLLECTION_AFTER: Final = 50
_TRIM: Final = getattr(ctypes.CDLL(None), "malloc_trim", None)


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


def give_back() -> None:
    """Return what is free to the system (malloc_trim(3)); takes about ten ms for a hundred MiB.

    What a crowd leaves in cycles is collected first; what start-up left is not visited for that.
    """
    gc.collect()
    if _TRIM is not None:
        _TRIM(0)
