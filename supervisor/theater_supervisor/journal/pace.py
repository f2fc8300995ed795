"""Where a commit waits for the disk: on the event loop while that is quick, else in a thread.

A thread costs 120 us, which is more than a small commit without a sync takes, and contends for the
interpreter: a fifth of all messages under load. Pure: times are handed in. One Pace is shared by all
journals, for it is one event loop that they hold up.
"""

from typing import Final

QUICK_ENTRIES: Final = 256
# To be made ready on the event loop. In a thread 128 KiB took 8 ms beside a hundred clients that send large
# messages, most of it waiting for the interpreter; a quiet one's p99 fell by a third with all of it here.
QUICK_BYTES: Final = 512 * 1024
# An empty reply takes 2 to 3 us to link, which is as long as so many bytes take to be hashed and copied.
REPLY_BYTES: Final = 1024
QUICK_S: Final = 0.001

_SHARE: Final = 0.5
_BURST_S: Final = 0.02
_WEIGHT: Final = 0.25
_MOST_S: Final = 2 * QUICK_S


class Pace:
    """Lets small commits run on the event loop, for at most half of its time, while the disk is quick.

    `used` is told what every commit took, wherever it ran: a disk that becomes slow is left to threads until
    commits there are quick again. A single one that took long says little: neighbours may have taken the
    processor.
    """

    def __init__(self) -> None:
        self._usual_s = 0.0
        self._budget_s = _BURST_S
        self._seen_s = 0.0

    def allows(self, entries: int, now_s: float) -> bool:
        """Say whether a commit of this size may hold up the event loop now."""
        self._budget_s = min(_BURST_S, self._budget_s + (now_s - self._seen_s) * _SHARE)
        self._seen_s = now_s
        return entries <= QUICK_ENTRIES and self._budget_s > 0 and self._usual_s < QUICK_S

    def used(self, entries: int, took_s: float, *, on_loop: bool) -> None:
        """Take note of a commit that took `took_s`."""
        if on_loop:
            self._budget_s -= took_s
        if entries <= QUICK_ENTRIES:
            self._usual_s += (min(took_s, _MOST_S) - self._usual_s) * _WEIGHT
