"""Looking for what comes next instead of sleeping, where it has usually come at once.

Waking a process that sleeps takes 40 to 150 µs on a virtual machine, and a worker answers in not much more.
So the event loop looks a little before it sleeps, while one worker gets one event at a time and such waits
were short, and for as long as they lately took. Whether looking pays off at all is measured: beside busy
neighbours it does not. What it waits for is trio's matter: whatever that is ends a look.
"""

import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import trio

from theater_supervisor.awake import Trial

# A worker's turn and its wake-up, at first. One message alone is 7 to 19 % faster with it and takes 10 to
# 20 % more CPU time; a message now and then takes no more.
LOOK_S: Final = 0.0003
# The longest that is worth it: waking up is a small part of a longer wait.
LONGEST_LOOK_S: Final = 0.0015
_SHORTEST_LOOK_S: Final = 0.0001
# It looks a little longer than nearly all of these waits take: a longer one counts more than a shorter one.
_MARGIN: Final = 1.25
_RISE, _FALL = 0.25, 0.02
# So many events in a row, each alone and for one worker. Under load all processors have better things to do.
LONE_EVENTS: Final = 16
_HISTORY_BITS: Final = 4
_SURE: Final = 3


class WaitPredictor:
    """Tells whether the next wait will be short, from those before it, as a processor predicts branches.

    Each pattern of the last waits has a counter of its own (Yeh and Patt, 1991). So from a client that asks
    now and then it learns that the worker's answer comes soon and the next question does not. Pure.
    """

    def __init__(self) -> None:
        self._history = 0
        self._counters = [0] * (1 << _HISTORY_BITS)

    def is_short(self) -> bool:
        """Say whether the next wait is likely to be short."""
        return self._counters[self._history] > _SURE // 2

    def learn(self, *, was_short: bool) -> None:
        """Take note of how the wait went."""
        counter = self._counters[self._history]
        self._counters[self._history] = min(counter + 1, _SURE) if was_short else max(counter - 1, 0)
        self._history = (self._history << 1 | was_short) % (1 << _HISTORY_BITS)


class LookLength:
    """How long to look: for a little longer than nearly all of the waits that a look could have covered."""

    def __init__(self) -> None:
        self.seconds = LOOK_S

    def learn(self, took_s: float) -> None:
        """Take note of a wait, whether it was looked for or slept through."""
        if took_s < LONGEST_LOOK_S:
            off_s = took_s * _MARGIN - self.seconds
            seconds = self.seconds + off_s * (_RISE if off_s > 0 else _FALL)
            self.seconds = min(max(seconds, _SHORTEST_LOOK_S), LONGEST_LOOK_S)


class BusyPoll(trio.abc.Instrument):
    """Looks for a while before trio's loop sleeps, if that is worth while.

    `is_ready` says, at once, whether the loop would wake up; `now_s` is a clock.
    """

    def __init__(
        self, is_ready: Callable[[], object], now_s: Callable[[], float] = time.perf_counter
    ) -> None:
        self._is_ready = is_ready
        self._now_s = now_s
        self._predictor = WaitPredictor()
        self._look = LookLength()
        self._trial = Trial()
        self._given_s = 0.0
        self._worker: object = None
        self._lone_events = 0
        self._began_s = 0.0

    def note(self, worker: object, *, alone: bool) -> None:
        """Take note that a worker was given something, `alone` when that is one event and all it has."""
        if alone and worker is self._worker:
            now_s = self._now_s()
            if self._lone_events > LONE_EVENTS:
                # From event to event: what a look costs may show only after it.
                self._trial.learn(now_s - self._given_s)
            self._given_s = now_s
            self._lone_events += 1
        else:
            self._lone_events = 0
            self._worker = worker

    def before_io_wait(self, timeout: float) -> None:
        """Look, when nothing else can be done."""
        if timeout <= 0 or self._lone_events < LONE_EVENTS:
            return
        self._began_s = self._now_s()
        if self._trial.is_awake and self._predictor.is_short():
            until_s = self._began_s + min(self._look.seconds, timeout)
            while not self._is_ready() and self._now_s() < until_s:
                pass

    def after_io_wait(self, timeout: float) -> None:
        """Learn from it."""
        if timeout > 0 and self._lone_events >= LONE_EVENTS:
            took_s = self._now_s() - self._began_s
            self._predictor.learn(was_short=took_s < self._look.seconds)
            self._look.learn(took_s)


_busy_poll: Final = trio.lowlevel.RunVar[BusyPoll | None]("busy_poll", None)


def current_busy_poll() -> BusyPoll | None:
    """Return what wants to know of the events that workers are given, if anything does."""
    return _busy_poll.get()


@contextmanager
def busy_polling() -> Iterator[None]:
    """Poll in this run of trio until the block ends, where the workers have another processor."""
    epoll_fd = _epoll_fd()
    if epoll_fd is None or len(os.sched_getaffinity(0)) < 2:
        yield
        return
    loop = select.poll()
    loop.register(epoll_fd, select.POLLIN)
    poll = BusyPoll(partial(loop.poll, 0))
    trio.lowlevel.add_instrument(poll)
    _busy_poll.set(poll)
    try:
        yield
    finally:
        _busy_poll.set(None)
        trio.lowlevel.remove_instrument(poll)


def _epoll_fd() -> int | None:
    """Find what trio's loop sleeps on, None where it is something else. trio does not show it."""
    try:
        from trio._core._run import GLOBAL_RUN_CONTEXT

        return GLOBAL_RUN_CONTEXT.runner.io_manager._epoll.fileno()
    except (ImportError, AttributeError):
        return None
