"""A worker process for a replay: it gets recorded deliveries and is always killed in the end.

The worker is the same as the supervisor's, over the same link. It is given one batch at a time and answers
all of it, so that the state after each batch is known.
"""

import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

import trio

from theater_protocol.errors import RemoteProtocolError
from theater_protocol.messages import Deliver, FromWorker, Limits, Ready, Result, Start
from theater_supervisor.actor.link import Link
from theater_supervisor.logs.lines import LineDecoder
from theater_supervisor.process.exit import describe_exit
from theater_supervisor.process.spawn import WORKER_COMMAND, WorkerProcess, spawn

START_S: Final = 10.0
EXIT_S: Final = 2.0
ANSWER_MARGIN_S: Final = 5.0

_LOG_BYTES: Final = 65536
_LAST_LINES: Final = 5


class ScratchWorker:
    """A worker that was started from a recorded state.

    `failure` says why it can't go on, None while it can.
    """

    def __init__(self, process: WorkerProcess, limits: Limits, answer_s: float, start_s: float) -> None:
        self.failure: str | None = None
        self._process = process
        self._link = Link(process.stdin, process.stdout, limits)
        self._answer_s = answer_s
        self._start_s = start_s
        self._born = trio.current_time()
        self._log = LineDecoder()
        self._last_lines: deque[str] = deque(maxlen=_LAST_LINES)

    async def start(self, frame: Start) -> None:
        """Send the first frame and wait until the worker is ready; see `failure`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._link.send, [frame])
            nursery.start_soon(self._drain_log)
            with self._guarded(self._start_s, "not ready"):
                match await self._receive():
                    case [Ready()]:
                        pass
                    case _:
                        raise RemoteProtocolError("the first frame is not Ready")
            nursery.cancel_scope.cancel()
        await self._bury()

    async def answer(self, deliveries: Sequence[Deliver]) -> list[Result]:
        """Give the worker a batch; return its results in order, not all of them after a `failure`."""
        results: list[Result] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._link.send, deliveries)
            nursery.start_soon(self._drain_log)
            while self.failure is None and len(results) < len(deliveries):
                with self._guarded(self._answer_s, "no answer to a delivery"):
                    results += _in_order(await self._receive(), deliveries[len(results) :])
            nursery.cancel_scope.cancel()
        await self._bury()
        return results

    @contextlib.contextmanager
    def _guarded(self, limit_s: float, late: str) -> Iterator[None]:
        """Turn what can go wrong within the block, or its taking longer than `limit_s`, into `failure`."""
        with trio.move_on_after(limit_s) as deadline:
            try:
                yield
            except RemoteProtocolError as exc:
                self.failure = f"broke the protocol: {exc}"
            except EOFError:
                self.failure = "ended"
        if deadline.cancelled_caught:
            self.failure = f"{late} within {limit_s:g} s"

    async def _receive(self) -> list[FromWorker]:
        frames = await self._link.receive()
        if not frames:
            raise EOFError
        return frames

    async def _drain_log(self) -> None:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await self._process.stderr.receive_some(_LOG_BYTES):
                self._last_lines += [line.text for line in self._log.feed(bytes(data))]

    async def _bury(self) -> None:
        """After a failure: end the process and add how it ended, and its last words, to the reason."""
        if self.failure is None:
            return
        if self.failure == "ended":
            with trio.move_on_after(EXIT_S):
                await self._process.wait()
        self._process.kill()
        with trio.move_on_after(EXIT_S):
            await self._process.wait()
        with trio.move_on_after(EXIT_S):
            await self._drain_log()
        ended = describe_exit(self._process.returncode, trio.current_time() - self._born)
        self.failure = f"the worker {self.failure} ({ended})"
        if self._last_lines:
            self.failure += f"; its last line: {self._last_lines[-1]!r:.300}"


@contextlib.asynccontextmanager
async def scratch_worker(
    start: Start, command: Sequence[str] = WORKER_COMMAND, start_s: float = START_S
) -> AsyncIterator[ScratchWorker]:
    """Start a worker and give it, ready or with its `failure`; it is killed when the block is left.

    Raises OSError when the host cannot start a process.
    """
    answer_s = start.limits.call_timeout_us / 1e6 + ANSWER_MARGIN_S
    async with spawn(command) as process:
        worker = ScratchWorker(process, start.limits, answer_s, start_s)
        await worker.start(start)
        yield worker


def _in_order(frames: Sequence[FromWorker], awaited: Sequence[Deliver]) -> list[Result]:
    results = [frame for frame in frames if isinstance(frame, Result)]
    numbers = [result.delivery for result in results]
    if len(results) != len(frames) or numbers != [one.delivery for one in awaited[: len(numbers)]]:
        raise RemoteProtocolError("a result that was not awaited")
    return results
