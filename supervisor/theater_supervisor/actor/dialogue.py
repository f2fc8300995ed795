"""The dialogue with one worker: what it is given, what it answers, and for how long it is waited for.

Knows the pipe only as a Link and the process not at all: that is incarnation.py's. What a result means is the
actor's part.
"""

import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal

import trio

from theater_protocol.errors import RemoteProtocolError
from theater_protocol.messages import FromWorker, Ready, Result, Start, Stop
from theater_supervisor.actor.busy_poll import current_busy_poll
from theater_supervisor.actor.delivery import DeliveryWindow
from theater_supervisor.actor.doorbell import Doorbell
from theater_supervisor.actor.link import Link
from theater_supervisor.actor.patience import Patience
from theater_supervisor.actor.read_ahead import ReadAhead
from theater_supervisor.actor.spec import ActorSpec
from theater_supervisor.actor.transition import NOTHING_RECEIVED, check_bounds, committable
from theater_supervisor.journal.store import JournalFailed
from theater_supervisor.process.exit import (
    ExitClass,
    Hung,
    InitFailed,
    ProtocolBroken,
    ResultsNotStored,
    StartTimeout,
    Stopped,
)

# A commit of so much lasts long enough for the next result to be read meanwhile.
READ_AHEAD_BYTES = 256 * 1024


class InitError(Exception):
    """The actor's `init` did not succeed; the message is its own."""


class Dialogue:
    """What is said to a worker over its pipe, from Start to Stop. One for each worker.

    `commit` gets results that can be committed together, in order, and returns once they are. It raises
    RemoteProtocolError when they cannot be believed, JournalFailed when they cannot be stored, InitError.
    With `is_unwanted` set, a worker that is not waited for any longer was stopped, and did not hang.
    """

    def __init__(
        self,
        spec: ActorSpec,
        start: Start,
        window: DeliveryWindow,
        bell: Doorbell,
        commit: Callable[[list[Result]], Awaitable[None]],
    ) -> None:
        self.patience = Patience()
        self.ready_at_s: float | None = None
        self.stop_sent = False
        self.is_unwanted = False
        self._start_frame = start
        self._window = window
        self._bell = bell
        self._commit = commit
        self._deadlines = spec.deadlines
        self._sandbox_required = spec.containment.sandbox_required
        self._stopping: Literal["no", "drained", "now"] = "no"
        self._answer_by_s = math.inf
        self._stop_by_s = math.inf
        self._link: Link | None = None
        self._busy_poll = current_busy_poll()

    @property
    def is_stopping(self) -> bool:
        """Whether the worker is to be stopped, now or later."""
        return self._stopping != "no"

    def stop(self, *, drain: bool) -> None:
        """Let the worker finish what it has, or with `drain` all that is queued, then end it."""
        if self._stopping != "now":
            self._stopping = "drained" if drain else "now"
        self._bell.ring()

    async def await_ready(
        self, link: Link, on_ready: Callable[[Ready], None]
    ) -> list[FromWorker] | ExitClass | None:
        """Return the frames after Ready, or why there was none."""
        with trio.move_on_after(self._deadlines.start_s):
            try:
                await link.send([self._start_frame])
                frames = await link.receive()
                match frames:
                    case [Ready() as ready, *rest]:
                        self._check_ready(ready)
                        self.ready_at_s = trio.current_time()
                        on_ready(ready)
                        return rest
                    case []:
                        return None
                    case _:
                        raise RemoteProtocolError("the first frame is not Ready")
            except RemoteProtocolError as exc:
                return ProtocolBroken(str(exc))
        return StartTimeout(self._deadlines.start_s)

    def _check_ready(self, ready: Ready) -> None:
        if ready.component_sha256 != self._start_frame.component_sha256:
            raise RemoteProtocolError("ready with another component")
        if ready.sandbox_level < self._sandbox_required:
            required = self._sandbox_required
            raise RemoteProtocolError(f"ready at sandbox level {ready.sandbox_level}, {required} is required")

    @contextmanager
    def over(self, link: Link) -> Iterator[None]:
        """Let `feed` give the worker events on its own, for as long as this lasts."""
        self._link = link
        try:
            yield
        finally:
            self._link = None

    def feed(self) -> None:
        """Give the worker what waits: at once when it has nothing in hand, else with whatever else comes.

        An idle worker gets an event from the turn of its connection, 40 µs before the feeding task would have
        its own; while it is busy, its next batch is put together meanwhile.
        """
        if self._link is None or self._window.in_flight or self._stopping != "no":
            self._bell.ring()
        elif frames := self._window.take():
            self._note_given(alone=len(frames) == 1)
            self._expect_answer()
            if not self._link.post(frames):
                self._bell.ring()

    async def keep_feeding(self, link: Link) -> None:
        """Give the worker what waits, until it is told to stop or takes nothing more."""
        while await link.drain():
            if self._stopping == "now" or (self._stopping == "drained" and not len(self._window)):
                self.stop_sent = True
                self._stop_by_s = trio.current_time() + self._deadlines.stop_s
                self._expect_answer()
                await link.send([Stop()])
                return
            if frames := self._window.take():
                self._note_given(alone=False)
                self._expect_answer()
                if not await link.send(frames):
                    return
            else:
                await self._bell.wait()

    def _note_given(self, *, alone: bool) -> None:
        if self._busy_poll:
            self._busy_poll.note(self, alone=alone)

    async def receive(self, link: Link, frames: list[FromWorker]) -> ExitClass | None:
        """Take results until the stream ends. Returns why the worker must go, None when it went by itself."""
        pending: list[Result] = []
        received, limits = NOTHING_RECEIVED, self._start_frame.limits
        with self.patience.scope:
            try:
                while True:
                    results = _results(frames)
                    pending += results
                    received = check_bounds(results, self._window.in_flight, limits, received)
                    source: ReadAhead | Link = link
                    if count := committable(pending):
                        self.patience.until(math.inf)
                        if received.octets > READ_AHEAD_BYTES:
                            source = ahead = ReadAhead(link)
                            await ahead.during(partial(self._commit, pending[:count]))
                        else:
                            await self._commit(pending[:count])
                        del pending[:count]
                        received = NOTHING_RECEIVED
                        if pending:
                            received = check_bounds(pending, len(pending), limits)
                        self._answer_by_s = math.inf
                        self._expect_answer()
                    frames = await source.receive()
                    if not frames:
                        return None
            except RemoteProtocolError as exc:
                return ProtocolBroken(str(exc))
            except InitError as exc:
                return InitFailed(str(exc))
            except JournalFailed as exc:
                return ResultsNotStored(exc)
        if self.is_unwanted or self._stop_by_s < self._answer_by_s:
            return Stopped(forced=True)
        return Hung(self._deadlines.answer_s)

    def _expect_answer(self) -> None:
        """Set the deadline: for the oldest delivery's answer, and for the end once told to stop."""
        if not self._window.in_flight:
            self._answer_by_s = math.inf
        elif self._answer_by_s == math.inf:
            self._answer_by_s = trio.current_time() + self._deadlines.answer_s
        self.patience.until(min(self._answer_by_s, self._stop_by_s))


def _results(frames: list[FromWorker]) -> list[Result]:
    results = [frame for frame in frames if isinstance(frame, Result)]
    if len(results) != len(frames):
        raise RemoteProtocolError("Ready a second time")
    return results
