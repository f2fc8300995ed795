"""The boundary: what a call into an actor's component costs, by state size, and what a whole worker does.

Usage: python -m benchmarks.boundary [--rounds N] [--json FILE]
µs a call of component.py, all marshalling included, for an actor that changes one byte of its state in every
call: the shim against wasmtime's public API, C and Python, states of ASCII and of random bytes. Then messages
a second through a worker process, from frames on its stdin to frames on its stdout. Medians of interleaved
rounds; calls in CPU time of their thread, the process in real time. Where a route cannot return a state of
that size it says "fails".
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.components import build
from tests.unit.worker.process import LIMITS, SEED, start_frame, texts

from theater_protocol.framing import FrameDecoder, encode_frame
from theater_protocol.messages import Ready, Stop, from_worker, to_item
from theater_worker.compile import compile_component
from theater_worker.component import ActorComponent, Ok
from theater_worker.engine import new_engine
from theater_worker.time_limit import TimeLimit

CACHE = Path(__file__).parents[1] / "build" / "compiled"
SIZES = {"4 B": 4, "64 KiB": 1 << 16, "1 MiB": 1 << 20, "8 MiB": 8 << 20}
ROUND_S = 0.1
MAX_CALLS = 5000
CALL_TIMEOUT_S = 60.0
WORKER_MESSAGES = 20_000
WINDOW = 128


def load(actor: str, with_shim: bool) -> ActorComponent:
    """Make an instance of a test actor in this process, by one of the routes."""
    report = compile_component(CACHE, build(actor), with_shim)
    assert report.compiled_path is not None, report.problems
    engine = new_engine()
    time_limit = TimeLimit(CALL_TIMEOUT_S, engine.increment_epoch)
    limits = replace(LIMITS, memory_bytes=512 << 20)
    component = ActorComponent(engine, report.compiled_path, limits, SEED, time_limit)
    time_limit.start()
    component.instantiate()
    return component


def state_of(size: int, what: str) -> bytes:
    """Make a state."""
    return random.Random(size).randbytes(size) if what == "random" else b"x" * size


def measure_calls(component: ActorComponent, state: bytes) -> float | None:
    """Call for about ROUND_S, each time with the state of the call before; µs a call."""
    calls, end_s, begun_s = 0, time.monotonic() + ROUND_S, time.thread_time()
    while calls == 0 or (calls < MAX_CALLS and time.monotonic() < end_s):
        outcome = component.call(0, state, "ping", None, b"")
        if not isinstance(outcome, Ok) or outcome.state is None:
            component.replace_instance()
            if calls:  # componentize-py's guests leak every state they are given, until memory is full
                break
            return None
        state = outcome.state
        calls += 1
    return (time.thread_time() - begun_s) / calls * 1e6


def boundary(rounds: int) -> Iterator[dict[str, object]]:
    """Measure every actor, route and state; yield rows as soon as they are complete."""
    components = {
        (language, route): load(actor, route == "shim")
        for language, actor in (("C", "touch"), ("Python", "touch_python"))
        for route in ("shim", "public")
    }
    for size_name, size in SIZES.items():
        for what in ("ascii", "random"):
            state = state_of(size, what)
            times: dict[tuple[str, str], list[float | None]] = {key: [] for key in components}
            for index in range(rounds):
                for key, component in components.items():
                    # A second for each call is spent once.
                    if key[1] == "shim" or index == 0 or size < 1 << 16:
                        times[key].append(measure_calls(component, state))
            for (language, route), series in times.items():
                measured = [value for value in series if value is not None]
                median = statistics.median(measured) if len(measured) == len(series) else None
                yield {"actor": language, "route": route, "state": size_name, "bytes": what, "µs": median}


class Worker:
    """A worker process with an echo actor."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-m", "theater_worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
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
        assert self._process.wait(CALL_TIMEOUT_S) == 0

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._write_fd, data) :]

    def _read(self) -> list[object]:
        return [from_worker(item) for item in self._decoder.feed(os.read(self._read_fd, 1 << 20))]


def whole_worker(rounds: int) -> dict[str, float]:
    """Measure a worker process under load and with one message at a time."""
    worker = Worker()
    worker.messages_a_second(WINDOW, WORKER_MESSAGES)
    many = [worker.messages_a_second(WINDOW, WORKER_MESSAGES) for _ in range(rounds)]
    single = [worker.messages_a_second(1, WORKER_MESSAGES // 10) for _ in range(rounds)]
    worker.stop()
    return {"messages_per_s": statistics.median(many), "one_at_a_time_us": 1e6 / statistics.median(single)}


def main() -> None:
    """Measure, print the table, and write the figures where they are wanted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    print(f"{'actor':8}{'route':8}{'state':>8} {'bytes':8}{'µs a call':>12}")
    for row in boundary(options.rounds):
        rows.append(row)
        figure = "fails" if row["µs"] is None else f"{row['µs']:,.1f}"
        print(f"{row['actor']:8}{row['route']:8}{row['state']:>8} {row['bytes']:8}{figure:>12}")
    worker = whole_worker(options.rounds)
    print(f"worker process, echo, {WINDOW} outstanding: {worker['messages_per_s']:,.0f} messages/s")
    print(f"worker process, echo, one at a time: {worker['one_at_a_time_us']:,.0f} µs")
    if options.json:
        options.json.write_text(json.dumps({"boundary": rows, "worker": worker}, indent=2))


if __name__ == "__main__":
    main()
