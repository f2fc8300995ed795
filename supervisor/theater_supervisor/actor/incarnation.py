"""One worker's life: start it, feed it deliveries, take its results, know how it ended.

Holds no state of the actor: what a result means and when the next worker starts is the actor's part.
"""

import contextlib
from collections.abc import Awaitable, Callable

import trio

from theater_protocol.messages import Ready, Result, Start
from theater_supervisor.actor.delivery import DeliveryWindow
from theater_supervisor.actor.dialogue import Dialogue
from theater_supervisor.actor.doorbell import Doorbell
from theater_supervisor.actor.link import Link
from theater_supervisor.actor.spec import ActorSpec
from theater_supervisor.logs.actor_log import ActorLog
from theater_supervisor.logs.pump import pump
from theater_supervisor.process.cgroup import WorkerGroup
from theater_supervisor.process.containment import resident_bytes, worker_group
from theater_supervisor.process.evidence import Evidence, is_blamable, last_words
from theater_supervisor.process.exit import CannotStart, Exit, ExitClass, Hung, MemoryExceeded, Stopped
from theater_supervisor.process.out_of_memory import OutOfMemoryCounter
from theater_supervisor.process.spawn import WorkerProcess, spawn

MEMORY_CHECK_S = 2.0
RENEWAL_SHARE = 0.6


class Incarnation:
    """The n-th worker of an actor. `run` it once.

    `commit` is as Dialogue's. `feed` gives the worker what waits in the window; nothing before it is ready.
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
        self._dialogue = Dialogue(spec, start, window, bell, commit)
        self.feed = self._dialogue.feed
        self._log = log
        self._deadlines = spec.deadlines
        self._command = spec.command
        self._starts = starts
        self._containment = spec.containment
        self._over_memory: MemoryExceeded | None = None
        self._group: WorkerGroup | None = None
        self._out_of_memory = OutOfMemoryCounter()
        self._renewal_bytes = start.limits.memory_bytes * RENEWAL_SHARE

    @property
    def ready_s(self) -> float | None:
        """For how long it has been ready, None when it is not."""
        ready_at_s = self._dialogue.ready_at_s
        return None if ready_at_s is None else trio.current_time() - ready_at_s

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
        self._dialogue.stop(drain=drain)

    async def _spawn(self, stack: contextlib.AsyncExitStack) -> WorkerProcess:
        name = f"{self._start_frame.actor}.{self._number}"
        self._group = await stack.enter_async_context(worker_group(self._containment, name))
        process = await stack.enter_async_context(spawn(self._command, fresh=self._containment.fresh))
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
            told_to_stop=self._dialogue.stop_sent,
            memory_killing=self._out_of_memory.read() > kills,
            group_limit_bytes=self._group.limit_bytes if self._group else None,
            over_memory=self._over_memory,
        ).cause()
        ready_at_s = self._dialogue.ready_at_s
        ready_s = None if ready_at_s is None else ended_s - ready_at_s
        was_ready, lived_s = ready_s is not None, ended_s - born_s
        self._log.mark(self._number, last_words(process.returncode, how, lived_s, was_ready=was_ready))
        return Exit(how, process.pid, lived_s, ready_s, blame=was_ready and is_blamable(how))

    async def _converse(self, process: WorkerProcess, on_ready: Callable[[Ready], None]) -> ExitClass | None:
        """Talk to the worker to the end; return why it has to go, None when it goes by itself."""
        link = Link(process.stdin, process.stdout, self._start_frame.limits)
        early = await self._dialogue.await_ready(link, on_ready)
        if not isinstance(early, list):
            return early
        self._start_is_over()
        with self._dialogue.over(link):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._dialogue.keep_feeding, link)
                nursery.start_soon(self._watch_exit, process)
                nursery.start_soon(self._watch_memory, process)
                nursery.start_soon(self._dialogue.patience.run)
                verdict = await self._dialogue.receive(link, early)
                nursery.cancel_scope.cancel()
        # The pipe that nobody answered on may be held open by another process.
        return None if isinstance(verdict, Hung) and process.returncode is not None else verdict

    async def _watch_exit(self, process: WorkerProcess) -> None:
        """End the conversation when the worker is gone but its pipe stays open outside of its group."""
        await process.wait()
        await trio.sleep(self._deadlines.exit_s)
        self._dialogue.patience.scope.cancel()

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
                self._dialogue.is_unwanted = True
                self.stop(drain=False)
            elif not self._dialogue.is_stopping and used - began > self._renewal_bytes:
                self._log.mark(self._number, f"to be renewed: it has grown by {(used - began) >> 20} MiB")
                self.stop(drain=False)
            if used > 2 * limit:
                self._dialogue.patience.scope.cancel()

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
