"""One worker's life: start it, feed it deliveries, take its results, know how it ended.

Holds no state of the actor: what a result means and when the next worker starts is the actor's part.
"""

import contextlib
import math
from collections.abc import Awaitable, Callable
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
from theater_supervisor.actor.transition import check_bounds, committable
from theater_supervisor.journal.store import JournalFailed
from theater_supervisor.logs.actor_log import ActorLog
from theater_supervisor.logs.pump import pump
from theater_supervisor.process.cgroup import WorkerGroup
from theater_supervisor.process.containment import resident_bytes, worker_group
from theater_supervisor.process.evidence import Evidence, is_blamable, last_words
from theater_supervisor.process.exit import (
    CannotStart,
    Exit,
    ExitClass,
    Hung,
    InitFailed,
    MemoryExceeded,
    ProtocolBroken,
    ResultsNotStored,
    StartTimeout,
    Stopped,
)
from theater_supervisor.process.out_of_memory import OutOfMemoryCounter
from theater_supervisor.process.spawn import WorkerProcess, spawn

MEMORY_CHECK_S = 2.0
RENEWAL_SHARE = 0.6
# A commit of so much lasts long enough for the next result to be read meanwhile.
READ_AHEAD_BYTES = 256 * 1024


class InitError(Exception):
    """The actor's `init` did not succeed; the message is its own."""


class Incarnation:
    """The n-th worker of an actor. `run` it once.

    `commit` gets results that can be committed together, in order, and returns once they are. It raises
    RemoteProtocolError when they cannot be believed, JournalFailed when they cannot be stored, InitError.
    `starts` bounds how many workers are being started at one time.
    """

    def __init__(
        self,
        number: int,
        spec: ActorSpec,
        start: Start,
        window: DeliveryWindow,
        bell: Doorbell,
        commit: Callable[[list[Result]], Awaitable[None]],
        log: ActorLog,
        starts: trio.CapacityLimiter,
    ) -> None:
        self.pid: int | None = None
        self._number = number
        self._start_frame = start
        self._window = window
        self._bell = bell
        self._commit = commit
        self._log = log
        self._deadlines = spec.deadlines
        self._command = spec.command
        self._starts = starts
        self._containment = spec.containment
        self._over_memory: MemoryExceeded | None = None
        self._group: WorkerGroup | None = None
        self._out_of_memory = OutOfMemoryCounter()
        self._renewal_bytes = start.limits.memory_bytes * RENEWAL_SHARE
        self._stopping: Literal["no", "drained", "now"] = "no"
        self._stop_sent = False
        self._ready_at_s: float | None = None
        self._answer_by_s = math.inf
        self._stop_by_s = math.inf
        self._patience = Patience()
        self._link: Link | None = None
        self._busy_poll = current_busy_poll()

    @property
    def ready_s(self) -> float | None:
        """For how long it has been ready, None when it is not."""
        return None if self._ready_at_s is None else trio.current_time() - self._ready_at_s

    async def run(self, on_ready: Callable[[Ready], None]) -> Exit:
        """Run the worker from spawn to exit; its log lines are in the log before this returns."""
        await self._starts.acquire_on_behalf_of(self)
        try:
            async with contextlib.AsyncExitStack() as stack:
                try:
                    process = await self._spawn(stack)
                except OSError as exc:
                    return self._cannot_start(exc)
                self.pid = process.pid
                return await self._live(process, on_ready)
        finally:
            self._start_is_over()

    def stop(self, *, drain: bool = True) -> None:
        """Let the worker finish what it has, or with `drain` all that is queued, then end it."""
        if self._stopping != "now":
            self._stopping = "drained" if drain else "now"
        self._bell.ring()

    async def _spawn(self, stack: contextlib.AsyncExitStack) -> WorkerProcess:
        name = f"{self._start_frame.actor}.{self._number}"
        self._group = await stack.enter_async_context(worker_group(self._containment, name))
        process = await stack.enter_async_context(spawn(self._command))
        if self._group:
            await trio.to_thread.run_sync(self._group.take, process.pid)
            self._out_of_memory = OutOfMemoryCounter(self._group.path)
        return process

    def _cannot_start(self, error: OSError) -> Exit:
        how = CannotStart(str(error))
        self._log.mark(self._number, str(how))
        return Exit(how)

    def _start_is_over(self) -> None:
        with contextlib.suppress(RuntimeError):  # given back before
            self._starts.release_on_behalf_of(self)

    async def _live(self, process: WorkerProcess, on_ready: Callable[[Ready], None]) -> Exit:
        born_s = trio.current_time()
        kills = self._out_of_memory.read()
        self._log.mark(self._number, f"spawned pid {process.pid}")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pump, process.stderr, self._log.stream(self._number))
            nursery.start_soon(_clear_group, process)
            verdict = await self._converse(process, on_ready)
            await self._await_exit(process, verdict)
            ended_s = trio.current_time()
            # A process that inherited the worker's stderr and left its group must not hold its end up.
            nursery.cancel_scope.deadline = ended_s + self._deadlines.exit_s
        self.pid = None
        how = Evidence(
            verdict,
            process.returncode,
            signalled=process.signalled,
            told_to_stop=self._stop_sent,
            memory_killing=self._out_of_memory.read() > kills,
            group_limit_bytes=self._group.limit_bytes if self._group else None,
            over_memory=self._over_memory,
        ).cause()
        ready_s = None if self._ready_at_s is None else ended_s - self._ready_at_s
        was_ready, lived_s = ready_s is not None, ended_s - born_s
        self._log.mark(self._number, last_words(process.returncode, how, lived_s, was_ready=was_ready))
        return Exit(how, process.pid, lived_s, ready_s, blame=was_ready and is_blamable(how))

    async def _converse(self, process: WorkerProcess, on_ready: Callable[[Ready], None]) -> ExitClass | None:
        """Talk to the worker to the end; return why it has to go, None when it goes by itself."""
        link = Link(process.stdin, process.stdout, self._start_frame.limits)
        early = await self._await_ready(link, on_ready)
        if not isinstance(early, list):
            return early
        self._start_is_over()
        self._link = link
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._feed, link)
                nursery.start_soon(self._watch_exit, process)
                nursery.start_soon(self._watch_memory, process)
                nursery.start_soon(self._patience.run)
                verdict = await self._receive(link, early)
                nursery.cancel_scope.cancel()
        finally:
            self._link = None
        # The pipe that nobody answered on may be held open by another process.
        return None if isinstance(verdict, Hung) and process.returncode is not None else verdict

    async def _await_ready(
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
                        self._ready_at_s = trio.current_time()
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
        if ready.sandbox_level < self._containment.sandbox_required:
            required = self._containment.sandbox_required
            raise RemoteProtocolError(f"ready at sandbox level {ready.sandbox_level}, {required} is required")

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

    async def _feed(self, link: Link) -> None:
        while await link.drain():
            if self._stopping == "now" or (self._stopping == "drained" and not len(self._window)):
                self._stop_sent = True
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

    async def _receive(self, link: Link, frames: list[FromWorker]) -> ExitClass | None:
        """Take results until the stream ends. Returns why the worker must go, None when it went by itself."""
        pending: list[Result] = []
        with self._patience.scope:
            try:
                while True:
                    pending += _results(frames)
                    octets = check_bounds(pending, self._window.in_flight, self._start_frame.limits)
                    ahead = ReadAhead(link)
                    if count := committable(pending):
                        self._patience.until(math.inf)
                        if octets > READ_AHEAD_BYTES:
                            await ahead.during(partial(self._commit, pending[:count]))
                        else:
                            await self._commit(pending[:count])
                        del pending[:count]
                        self._answer_by_s = math.inf
                        self._expect_answer()
                    frames = await ahead.receive()
                    if not frames:
                        return None
            except RemoteProtocolError as exc:
                return ProtocolBroken(str(exc))
            except InitError as exc:
                return InitFailed(str(exc))
            except JournalFailed as exc:
                return ResultsNotStored(exc)
        if self._over_memory or self._stop_by_s < self._answer_by_s:
            return Stopped(forced=True)
        return Hung(self._deadlines.answer_s)

    def _expect_answer(self) -> None:
        """Set the deadline: for the oldest delivery's answer, and for the end once told to stop."""
        if not self._window.in_flight:
            self._answer_by_s = math.inf
        elif self._answer_by_s == math.inf:
            self._answer_by_s = trio.current_time() + self._deadlines.answer_s
        self._patience.until(min(self._answer_by_s, self._stop_by_s))

    async def _watch_exit(self, process: WorkerProcess) -> None:
        """End the conversation when the worker is gone but its pipe stays open outside of its group."""
        await process.wait()
        await trio.sleep(self._deadlines.exit_s)
        self._patience.scope.cancel()

    async def _watch_memory(self, process: WorkerProcess) -> None:
        """End a worker that has grown over its limit: when it has answered, or at twice the limit at once.

        One that has grown a lot towards it is renewed in good time: some guests never give back what they are
        given with an event, and would trap in the middle of one.
        """
        limit = self._containment.rss_bytes
        began = resident_bytes(process.pid)
        while limit is not None and began is not None:
            # All workers at one moment: waking up for each of them would cost more than looking.
            await trio.sleep_until((trio.current_time() // MEMORY_CHECK_S + 1) * MEMORY_CHECK_S)
            used = resident_bytes(process.pid)
            if used is None:
                continue
            if used > limit:
                self._over_memory = MemoryExceeded(used, limit)
                self.stop(drain=False)
            elif self._stopping == "no" and used - began > self._renewal_bytes:
                self._log.mark(self._number, f"to be renewed: it has grown by {(used - began) >> 20} MiB")
                self.stop(drain=False)
            if used > 2 * limit:
                self._patience.scope.cancel()

    async def _await_exit(self, process: WorkerProcess, verdict: ExitClass | None) -> None:
        """Wait until the process has ended, and see to it that it does: at once when it has to go."""
        steps: list[Callable[[], None] | None]
        match verdict:
            case None:
                steps = [None, process.kill]
            case Stopped():
                steps = [process.terminate, process.kill]
            case _:
                steps = [process.kill]
        for step in steps:
            if step is not None:
                step()
            with trio.move_on_after(self._deadlines.exit_s):
                await process.wait()
                return


async def _clear_group(process: WorkerProcess) -> None:
    """Let no child that a worker leaves behind keep its pipes open."""
    await process.wait()
    process.clear_group()


def _results(frames: list[FromWorker]) -> list[Result]:
    results = [frame for frame in frames if isinstance(frame, Result)]
    if len(results) != len(frames):
        raise RemoteProtocolError("Ready a second time")
    return results
