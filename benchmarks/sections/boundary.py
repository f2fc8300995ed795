"""The boundary: what a call into an actor's component costs, by state size, and what a whole worker does.

µs a call of component.py, all marshalling included, for an actor that changes one byte of its state in every
call: the shim against wasmtime's public API, C and Python; and for one that changes all of it. Then messages
a second through a worker process, from frames on its stdin to frames on its stdout. Calls are in CPU time of
their thread, the process in real time.
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.components import build
from tests.unit.worker.process import LIMITS, SEED, start_frame, texts

from benchmarks.figures import Plan, Sample, Section, Target
from theater_protocol.framing import FrameDecoder, encode_frame
from theater_protocol.items import all_from_worker, to_item
from theater_protocol.messages import EventKind, FromWorker, Ready, Stop
from theater_worker.compile import compile_component
from theater_worker.component import ActorComponent, Ok
from theater_worker.engine import new_engine
from theater_worker.time_limit import TimeLimit

_CACHE = Path(__file__).parents[2] / "build" / "compiled"
_ACTORS = {"C": "touch", "Python": "touch_python"}
_SIZES = {"4 B": 4, "64 KiB": 1 << 16, "1 MiB": 1 << 20, "8 MiB": 8 << 20}
# The public API takes 80 ms a call here, over a second at 1 MiB, and cannot return 8 MiB: one round, no more.
_SLOW_BYTES = 1 << 16
_ROUND_S = 0.1
_MAX_CALLS = 5000
_CALL_TIMEOUT_S = 60.0
_WORKER_MESSAGES = 20_000
_WINDOW = 128


def _load(actor: str, with_shim: bool) -> ActorComponent:
    """Make an instance of a test actor in this process, by one of the routes."""
    report = compile_component(_CACHE, build(actor), with_shim)
    assert report.compiled_path is not None, report.problems
    engine = new_engine()
    time_limit = TimeLimit(_CALL_TIMEOUT_S, engine.increment_epoch)
    limits = replace(LIMITS, memory_bytes=512 << 20)
    component = ActorComponent(engine, report.compiled_path, limits, SEED, time_limit)
    time_limit.start()
    component.instantiate()
    return component


def _call_us(component: ActorComponent, state: bytes, kind: EventKind = "ping") -> float | None:
    """Call for about _ROUND_S, each time with the state of the call before; µs a call."""
    calls, end_s, begun_s = 0, time.monotonic() + _ROUND_S, time.thread_time()
    while calls == 0 or (calls < _MAX_CALLS and time.monotonic() < end_s):
        outcome = component.call(0, state, kind, None, b"")
        if not isinstance(outcome, Ok) or outcome.state is None:
            component.replace_instance()
            if calls:  # componentize-py's guests leak every state they are given, until memory is full
                break
            return None
        state = outcome.state
        calls += 1
    return (time.thread_time() - begun_s) / calls * 1e6


def _calls(rounds: int) -> Iterator[Sample]:
    components = {
        (language, route): _load(actor, route == "shim")
        for language, actor in _ACTORS.items()
        for route in ("shim", "public API")
    }
    for size, size_bytes in _SIZES.items():
        state = random.Random(size).randbytes(size_bytes)
        for number in range(rounds):
            for (language, route), component in components.items():
                if route == "shim" or size_bytes < _SLOW_BYTES or (size_bytes == _SLOW_BYTES and not number):
                    took_us = _call_us(component, state)
                    if took_us is not None:
                        yield Sample(f"{language}, {route}, {size}", took_us, "µs")
            all_us = _call_us(components["C", "shim"], state, "binary")
            if all_us is not None:
                yield Sample(f"C, shim, {size}, all of it changes", all_us, "µs")


class _Worker:
    """A worker process with an echo actor."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-m", "theater_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._write_fd = self._process.stdin.fileno()
        self._read_fd = self._process.stdout.fileno()
        self._decoder = FrameDecoder()
        self._write(encode_frame(to_item(start_frame("echo"))))
        (ready,) = self._read()
        assert isinstance(ready, Ready)

    def messages_a_second(self, window: int, count: int) -> float:
        """Send `count` messages, `window` outstanding, in writes as large as there is room."""
        frames = [encode_frame(to_item(frame)) for frame in texts(*["sixteen bytes ok"] * count)]
        begun_s = time.perf_counter()
        sent = received = 0
        while received < count:
            if batch := frames[sent : received + window]:
                self._write(b"".join(batch))
                sent += len(batch)
            received += len(self._read())
        return count / (time.perf_counter() - begun_s)

    def stop(self) -> None:
        """End the process."""
        self._write(encode_frame(to_item(Stop())))
        assert self._process.wait(_CALL_TIMEOUT_S) == 0

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._write_fd, data) :]

    def _read(self) -> list[FromWorker]:
        return all_from_worker(self._decoder.feed(os.read(self._read_fd, 1 << 20)))


def _whole_worker(rounds: int) -> Iterator[Sample]:
    worker = _Worker()
    worker.messages_a_second(_WINDOW, _WORKER_MESSAGES)
    for _ in range(rounds):
        many = worker.messages_a_second(_WINDOW, _WORKER_MESSAGES)
        yield Sample(f"worker process, {_WINDOW} outstanding", many, "messages/s")
        single = worker.messages_a_second(1, _WORKER_MESSAGES // 10)
        yield Sample("worker process, one at a time", 1e6 / single, "µs")
    worker.stop()


def _boundary(plan: Plan) -> Iterator[Sample]:
    yield from _calls(plan.rounds)
    yield from _whole_worker(plan.rounds)


BOUNDARY = Section(
    "boundary",
    "A call into a component that changes a byte of its state, or all of it, by the size of the state.",
    _boundary,
    (
        Target("C, shim, 4 B", 8),
        Target("C, shim, 64 KiB", 100),
        Target("C, shim, 1 MiB", 2000),
    ),
)
