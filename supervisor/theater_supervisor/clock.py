"""The wall clock as far as the monotonic one confirms it: events are stamped and history is kept by it.

A step of the wall clock is not believed at once: until it has lasted, time goes on from where it was,
by the clock that no one sets. One WallClock is shared by all actors; it keeps nothing on disk.
"""

import time
from collections.abc import Callable
from typing import Final

import structlog

STEP_US: Final = 10_000_000  # less is how clocks are kept right
BELIEVED_AFTER_US: Final = 60_000_000
# History is dropped for good: a clock has to be right for longer than for a stamp.
SETTLED_AFTER_US: Final = 3_600_000_000

_BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # it goes on while suspended

_log = structlog.get_logger()


def _wall_us() -> int:
    return time.time_ns() // 1000


def _boot_us() -> int:
    return time.clock_gettime_ns(_BOOT_CLOCK) // 1000


class WallClock:
    """Unix time in µs that takes no unconfirmed step; `wall_us` and `boot_us` read the two clocks."""

    def __init__(self, wall_us: Callable[[], int] = _wall_us, boot_us: Callable[[], int] = _boot_us) -> None:
        self._wall_us, self._boot_us = wall_us, boot_us
        self._offset_us = wall_us() - boot_us()
        self._since_us = boot_us()
        self._other: tuple[int, int] | None = None  # an offset that is not believed yet, and since when

    def now_us(self) -> int:
        """Return the time: the wall clock's, or the one before a step while that has not lasted."""
        boot_us = self._boot_us()
        offset_us = self._wall_us() - boot_us
        if abs(offset_us - self._offset_us) <= STEP_US:
            self._offset_us = offset_us
            if self._other is not None:
                self._other = None
                _log.warning("clock_step_ignored", reason="the clock is back where it was")
        else:
            self._stepped(offset_us, boot_us)
        return boot_us + self._offset_us

    def settled(self) -> bool:
        """Say whether the wall clock has made no step for so long that history may be dropped by it."""
        self.now_us()
        return self._other is None and self._boot_us() - self._since_us >= SETTLED_AFTER_US

    def _stepped(self, offset_us: int, boot_us: int) -> None:
        if self._other is None or abs(offset_us - self._other[0]) > STEP_US:
            self._other = offset_us, boot_us
            step_s = (offset_us - self._offset_us) / 1_000_000
            _log.warning("clock_stepped", step_s=round(step_s, 3), believed_after_s=BELIEVED_AFTER_US / 1e6)
        elif boot_us - self._other[1] >= BELIEVED_AFTER_US:
            step_s = (offset_us - self._offset_us) / 1_000_000
            self._offset_us, self._since_us, self._other = offset_us, boot_us, None
            _log.warning("clock_step_believed", step_s=round(step_s, 3))


WALL: Final = WallClock()


class ActorClock:
    """An actor's time: it goes back in `recover` alone, and stands still while the wall clock is behind."""

    def __init__(self, last_us: int, wall: WallClock = WALL) -> None:
        self._last_us = last_us
        self._wall = wall

    def now_us(self) -> int:
        """Return the time, no earlier than the last."""
        self._last_us = max(self._last_us, self._wall.now_us())
        return self._last_us

    def recover(self) -> int:
        """Go back to the wall clock when ahead of it by a step; return by how much, 0 when it was not."""
        now_us = self._wall.now_us()
        ahead_us = self._last_us - now_us
        if ahead_us <= STEP_US:
            return 0
        self._last_us = now_us
        return ahead_us
