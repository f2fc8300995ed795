"""One worker's life: start it, feed it deliveries, take its results, know how it ended.

Holds no state of the actor: what a result means and when the next worker starts is the actor's part.
"""

import contextlib
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import trio

from theater_protocol.errors import RemoteProtocolError
from theater_protocol.messages import FromWorker, Ready, Result, Start, Stop
from theater_supervisor.actor.delivery import DeliveryWindow
from theater_supervisor.actor.link import Link
from theater_supervisor.actor.logs import ActorLog, LineDecoder
from theater_supervisor.actor.process import WORKER_COMMAND, WorkerProcess, describe_exit, spawn
from theater_supervisor.actor.transition import committable
from theater_supervisor.journal.store import JournalFailed

_LOG_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a worker may take. `answer_s` is for one delivery and lies above the call's own limit."""

    start_s: float = 10.0
    answer_s: float = 7.0
    exit_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Exit:
    """How a worker's life ended.

    `blame` says that the delivery it had in hand may be the cause; `journal_failure` that storing its results
    failed, which is no fault of the worker.
    """

    reason: str
    blame: bool = False
    journal_failure: JournalFailed | None = None


class InitFailed(Exception):
    """The actor's `init` did not succeed, so there is nothing to give its events to."""


class Doorbell:
    """Wakes the one task that waits for something to do; a ring is never lost."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def ring(self) -> None:
        """Wake the waiter, now or when it next waits."""
        self._event.set()

    async def wait(self) -> None:
        """Wait for a ring and take it."""
        await self._event.wait()
        self._event = trio.Event()


class Incarnation:
    """The n-th worker of an actor. `run` it once.

    `commit` gets results that can be committed together, in order, and returns once they are. It raises
    RemoteProtocolError when they cannot be believed, JournalFailed when they cannot be stored, InitFailed.
    """

    def __init__(
        self,
        number: int,
        start: Start,
        window: DeliveryWindow,
        bell: Doorbell,
        commit: Callable[[list[Result]], Awaitable[None]],
        log: ActorLog,
        deadlines: Deadlines,
        command: Sequence[str] = WORKER_COMMAND,
    ) -> None:
        self.pid: int | None = None
        self.stopping = False
        self._number = number
        self._start_frame = start
        self._window = window
        self._bell = bell
        self._commit = commit
        self._log = log
        self._deadlines = deadlines
        self._command = command
        self._blame = False
        self._journal_failure: JournalFailed | None = None
        self._answer_scope = trio.CancelScope()

    async def run(self, on_ready: Callable[[Ready], None]) -> Exit:
        """Run the worker from spawn to exit; its log lines are in the log before this returns."""
        async with contextlib.AsyncExitStack() as stack:
            try:
                process = await stack.enter_async_context(spawn(self._command))
            except OSError as exc:
                return Exit(f"cannot start a worker: {exc}")
            self.pid = process.pid
            return await self._live(process, on_ready)

    def stop(self) -> None:
        """Let the worker finish what it was given, then end it."""
        self.stopping = True
        self._bell.ring()

    async def _live(self, process: WorkerProcess, on_ready: Callable[[Ready], None]) -> Exit:
        born = trio.current_time()
        self._log.mark(self._number, f"spawned pid {process.pid}")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pump_log, process)
            reason = await self._converse(process, on_ready)
            await self._await_exit(process)
            # A process that inherited the worker's stderr must not hold its end up.
            nursery.cancel_scope.deadline = trio.current_time() + self._deadlines.exit_s
        self.pid = None
        ended = describe_exit(process.returncode, trio.current_time() - born)
        text = f"{ended}: {reason}" if reason else ended
        self._log.mark(self._number, text)
        return Exit(text, self._blame, self._journal_failure)

    async def _converse(self, process: WorkerProcess, on_ready: Callable[[Ready], None]) -> str:
        link = Link(process.stdin, process.stdout)
        early = await self._await_ready(link, on_ready)
        if isinstance(early, str):
            process.kill()
            return early
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._feed, link)
            nursery.start_soon(self._watch_exit, process)
            reason = await self._receive(link, early)
            if self._answer_scope.cancelled_caught and process.returncode is not None:
                reason = "its pipe was left open"
            nursery.cancel_scope.cancel()
        if reason:
            process.kill()
        return reason

    async def _await_ready(self, link: Link, on_ready: Callable[[Ready], None]) -> list[FromWorker] | str:
        """Return the frames after Ready, or why there was none."""
        with trio.move_on_after(self._deadlines.start_s):
            try:
                await link.send([self._start_frame])
                frames = await link.receive()
                match frames:
                    case [Ready() as ready, *rest]:
                        self._check_component(ready)
                        self._blame = True
                        on_ready(ready)
                        return rest
                    case []:
                        return "ended before it was ready"
                    case _:
                        raise RemoteProtocolError("the first frame is not Ready")
            except RemoteProtocolError as exc:
                return f"broke the protocol: {exc}"
        return f"not ready within {self._deadlines.start_s:g} s"

    def _check_component(self, ready: Ready) -> None:
        if ready.component_sha256 != self._start_frame.component_sha256:
            raise RemoteProtocolError("ready with another component")

    async def _feed(self, link: Link) -> None:
        while True:
            if frames := self._window.take():
                self._expect_answer()
                if not await link.send(frames):
                    return
            elif self.stopping and not len(self._window):
                await link.send([Stop()])
                return
            else:
                await self._bell.wait()

    async def _receive(self, link: Link, frames: list[FromWorker]) -> str:
        """Take results until the stream ends. Returns why the worker must go, "" when it went by itself."""
        pending: list[Result] = []
        with self._answer_scope:
            try:
                while True:
                    pending += _results(frames)
                    if count := committable(pending):
                        self._answer_scope.deadline = math.inf
                        await self._commit(pending[:count])
                        del pending[:count]
                        self._expect_answer()
                    frames = await link.receive()
                    if not frames:
                        return ""
            except RemoteProtocolError as exc:
                return f"broke the protocol: {exc}"
            except InitFailed as exc:
                self._blame = False
                return f"init failed: {exc}"
            except JournalFailed as exc:
                self._journal_failure = exc
                return "its results could not be stored"
        return f"no answer to a delivery for {self._deadlines.answer_s:g} s"

    def _expect_answer(self) -> None:
        if not self._window.in_flight:
            self._answer_scope.deadline = math.inf
        elif self._answer_scope.deadline == math.inf:
            self._answer_scope.deadline = trio.current_time() + self._deadlines.answer_s

    async def _watch_exit(self, process: WorkerProcess) -> None:
        """End the conversation when the worker is gone but its pipe stays open in another process."""
        await process.wait()
        await trio.sleep(self._deadlines.exit_s)
        self._answer_scope.cancel()

    async def _await_exit(self, process: WorkerProcess) -> None:
        with trio.move_on_after(self._deadlines.exit_s):
            await process.wait()
            return
        process.kill()
        with trio.move_on_after(self._deadlines.exit_s):
            await process.wait()

    async def _pump_log(self, process: WorkerProcess) -> None:
        decoder = LineDecoder()
        try:
            while data := await process.stderr.receive_some(_LOG_BYTES):
                self._log.write(self._number, decoder.feed(bytes(data)))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._log.write(self._number, decoder.close())


def _results(frames: list[FromWorker]) -> list[Result]:
    results = [frame for frame in frames if isinstance(frame, Result)]
    if len(results) != len(frames):
        raise RemoteProtocolError("Ready a second time")
    return results
