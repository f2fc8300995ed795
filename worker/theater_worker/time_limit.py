"""The time limit of calls, and the thread that watches it.

While calls are made the thread looks at the clock every few milliseconds; when none is, it sleeps and costs
nothing. It knows nothing of guests: what happens at the limit is given to it.
"""

import os
import threading
import time
import traceback
from collections.abc import Callable
from typing import Final

from theater_worker.errors import EX_IOERR, EX_SOFTWARE

TICK_S: Final = 0.01


class TimeLimit:
    """Calls `expire` once in a call that lasts longer than `limit_s`, and `on_slow` once in one over a tick.

    Both run in the watching thread. `begin()` and `end()` bracket a call and belong to one thread. While
    calls are made, the process also ends when its parent does, so that a spinning guest cannot outlive it.
    """

    def __init__(
        self, limit_s: float, expire: Callable[[], None], on_slow: Callable[[], None] = lambda: None
    ) -> None:
        self.limit_s = limit_s
        self._expire = expire
        self._on_slow = on_slow
        self._parent = os.getppid()
        self._lock = threading.Lock()
        self._busy = threading.Event()
        self._calls = 0
        self._running = False
        self._expired = False
        self._told_slow = False
        self._begun_s = 0.0

    def start(self) -> None:
        """Start the watching thread, before the first call."""
        threading.Thread(target=self._watch, name="time-limit", daemon=True).start()

    def begin(self) -> None:
        """Start the clock for a call."""
        with self._lock:
            self._calls += 1
            self._running = True
            self._expired = False
            self._told_slow = False
            self._begun_s = time.monotonic()
        # Setting the event costs a lock and a wake-up, which a busy worker saves.
        if not self._busy.is_set():
            self._busy.set()

    def end(self) -> bool:
        """Stop the clock and say whether the limit had passed. From here `expire` is not called."""
        with self._lock:
            self._running = False
            return self._expired

    def _watch(self) -> None:
        try:
            while True:
                self._busy.wait()
                self._tick()
        except BrokenPipeError:
            os._exit(EX_IOERR)
        # Without its watch the worker would have no time limit: better none than such a one.
        except BaseException:
            traceback.print_exc()
            os._exit(EX_SOFTWARE)

    def _tick(self) -> None:
        calls = self._calls
        time.sleep(min(TICK_S, self.limit_s))
        if os.getppid() != self._parent:
            os._exit(EX_IOERR)
        if self._is_slow():
            self._on_slow()
        with self._lock:
            if self._running and not self._expired and time.monotonic() - self._begun_s >= self.limit_s:
                self._expired = True
                self._expire()
            if not self._running and self._calls == calls:
                self._busy.clear()
        # A call may have begun, and found the event set, just before it was cleared.
        if self._running:
            self._busy.set()

    def _is_slow(self) -> bool:
        with self._lock:
            if not self._running or self._told_slow or time.monotonic() - self._begun_s < TICK_S:
                return False
            self._told_slow = True
            return True
