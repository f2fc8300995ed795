"""The worker's life: Start, Ready, then deliveries from the pipe and results back, until Stop or its end.

Blocking reads and writes of two descriptors. What a delivery comes to is component.py's matter, what a
result says of the state outbox.py's.
"""

import os
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

from wasmtime import Engine

from theater_protocol.errors import RemoteProtocolError
from theater_protocol.framing import FrameDecoder, encode_frame
from theater_protocol.interface2.ledger import Ledger2
from theater_protocol.items import all_to_worker, to_item
from theater_protocol.messages import Deliver, Deliver2, Ready, Start, Start2, Stop, ToWorker
from theater_worker.component import ActorComponent
from theater_worker.engine import new_engine
from theater_worker.instances import Instances, Stopped
from theater_worker.interface2.component import HandlerComponent
from theater_worker.outbox import Outbox
from theater_worker.sandbox import lock_down
from theater_worker.stdio import write_all
from theater_worker.time_limit import TimeLimit

READ_BYTES: Final = 256 * 1024
# What is ready goes out while the rest is worked on, so that both processes are busy: a tenth more messages
# than with batches four times as long. But each costs the supervisor a commit, so it brings several results,
# slow ones too: of 0.15 ms each (an unchanged state of 1 MiB), 16 together take a third less of the
# supervisor's CPU time than 4.
BATCH_S: Final = 0.0005
BATCH_RESULTS: Final = 16
LONGEST_BATCH_S: Final = 0.002


def serve(read_fd: int, write_fd: int) -> None:
    """Run the actor that the first frame names; return after Stop or the end of file.

    Raises RemoteProtocolError for frames that break the rules, WorkerError when the component cannot be run,
    BrokenPipeError when nobody reads the results.
    """
    reads = _read_frames(read_fd)
    first = next(reads, None)
    if first is None:
        return
    start, *rest = first
    match start:
        case Start():
            session = Session(start, read_fd, write_fd)
        case Start2():
            session = HandlerSession(start, read_fd, write_fd)
        case _:
            raise RemoteProtocolError(f"the first frame is {type(start).__name__} instead of Start")
    if session.run(rest):
        return
    for frames in reads:
        if session.run(frames):
            return


def is_due(waiting: int, open_s: float) -> bool:
    """Tell whether so many results, collected for so long, go out before the next call."""
    return open_s > BATCH_S and (waiting >= BATCH_RESULTS or open_s > LONGEST_BATCH_S)


class Session:
    """A started actor: its component, and its results on the way out."""

    def __init__(self, start: Start, read_fd: int, write_fd: int) -> None:
        write = partial(write_all, write_fd)
        engine = new_engine()
        self._outbox = Outbox(start.state, write)
        time_limit = TimeLimit(
            start.limits.call_timeout_us / 1e6,
            expire=engine.increment_epoch,
            # Finished results do not wait for a call that takes long.
            on_slow=self._outbox.flush,
        )
        component = self._load(engine, start, time_limit)
        # Everything that needs the file system is done, nothing of the guest has run.
        level = lock_down(read_fd, (1, 2, write_fd), start.limits.memory_bytes, time_limit.start)
        component.instantiate()
        write(encode_frame(to_item(Ready(start.component_sha256, component.exports_init, level))))

    def _load(self, engine: Engine, start: Start, time_limit: TimeLimit) -> Instances:
        self._component = ActorComponent(engine, start.compiled_path, start.limits, start.seed, time_limit)
        return self._component

    def run(self, frames: list[ToWorker]) -> bool:
        """Run the deliveries of one read and answer them; True after a Stop."""
        opened_s = time.monotonic()
        for index, frame in enumerate(frames):
            match frame:
                case Deliver() | Deliver2():
                    if is_due(self._outbox.waiting, time.monotonic() - opened_s):
                        self._outbox.flush()
                        opened_s = time.monotonic()
                    self._deliver(frame)
                case Stop():
                    self._outbox.flush()
                    if index + 1 < len(frames):
                        raise RemoteProtocolError("a frame after Stop")
                    return True
                case Start() | Start2():
                    raise RemoteProtocolError("a second Start")
        self._outbox.flush()
        return False

    def _deliver(self, deliver: Deliver | Deliver2) -> None:
        if isinstance(deliver, Deliver2):
            raise RemoteProtocolError("an event of interface 2 for a component of version 1")
        if deliver.kind == "init" and not self._component.exports_init:
            raise RemoteProtocolError("an init event for a component that does not export init")
        text = deliver.payload if isinstance(deliver.payload, str) else None
        data = deliver.payload if isinstance(deliver.payload, bytes) else None
        outcome = self._component.call(deliver.at_us, self._outbox.state, deliver.kind, text, data)
        self._outbox.add(deliver.delivery, outcome)
        if isinstance(outcome, Stopped):
            # First, in case a fresh instance cannot be had.
            self._outbox.flush()
            self._component.replace_instance()


class HandlerSession(Session):
    """A started actor of interface 2."""

    def __init__(self, start: Start2, read_fd: int, write_fd: int) -> None:
        self._ledger = Ledger2.from_snapshot(start.ledger)
        self._ledger_limits = start.ledger_limits
        super().__init__(start.start, read_fd, write_fd)

    def _load(self, engine: Engine, start: Start, time_limit: TimeLimit) -> Instances:
        self._handler = HandlerComponent(
            engine,
            start.compiled_path,
            start.limits,
            start.seed,
            time_limit,
            self._ledger,
            self._ledger_limits,
        )
        return self._handler

    def _deliver(self, deliver: Deliver | Deliver2) -> None:
        if isinstance(deliver, Deliver):
            raise RemoteProtocolError("an event of version 1 for a component of interface 2")
        outcome = self._handler.call(deliver.at_us, self._outbox.state, deliver.event)
        self._outbox.add(deliver.delivery, outcome, self._ledger.digest)
        if isinstance(outcome, Stopped):
            # First, in case a fresh instance cannot be had.
            self._outbox.flush()
            self._handler.replace_instance()


def _read_frames(read_fd: int) -> Iterator[list[ToWorker]]:
    """Yield the frames of each read that completes any; end with the file."""
    decoder = FrameDecoder()
    while data := os.read(read_fd, READ_BYTES):
        if items := decoder.feed(data):
            yield all_to_worker(items)
