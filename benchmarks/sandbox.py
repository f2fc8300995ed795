"""What locking workers down costs, and what a hostile actor costs its neighbour.

Usage: python -m benchmarks.sandbox

Everything is measured in turns with its counterpart, on the same machine in the same minutes: what counts
are the ratios.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio
from tests.integration.running import ask, client, supervisor, write_manifest
from tests.unit.worker.process import COMMAND, WorkerProcess, deliver, start_frame

ROUNDS = 15
CALLS = 500
NEIGHBOUR_CALLS = 400
TURNS = 3
ATTACKS = ("spin", "recurse", "grow", "many 1000000", "state 17000000")
OPEN = """
from theater_worker import __main__ as worker, loop
def only_start(read_fd, write_fds, memory_bytes, start):
    start()
    return 0
loop.lock_down = only_start
worker.main()
"""
TIMED = """
import time
from theater_worker import __main__ as worker, loop
from theater_worker.stdio import log
lock_down = loop.lock_down
def timed(read_fd, write_fds, memory_bytes, start):
    spent_s = []
    def timed_start():
        began_s = time.perf_counter()
        start()
        spent_s.append(time.perf_counter() - began_s)
    began_s = time.perf_counter()
    level = lock_down(read_fd, write_fds, memory_bytes, timed_start)
    log("E", f"{(time.perf_counter() - began_s - spent_s[0]) * 1e6:.0f}")
    return level
loop.lock_down = timed
worker.main()
"""
COMMANDS = {"locked": COMMAND, "open": (sys.executable, "-I", "-c", OPEN)}


def start_and_call(command: tuple[str, ...]) -> tuple[float, float]:
    """Return the seconds from spawn to Ready, and those of one call (the median)."""
    began_s = time.perf_counter()
    with WorkerProcess(command) as worker:
        worker.start(start_frame("echo"))
        ready_s = time.perf_counter() - began_s
        calls_s = []
        for number in range(1, CALLS + 1):
            began_s = time.perf_counter()
            worker.result(deliver(number, "text", "hello"))
            calls_s.append(time.perf_counter() - began_s)
        worker.stop()
    return ready_s, statistics.median(calls_s)


def lock_down_us() -> int:
    """Return how long a worker took to lock itself down."""
    with WorkerProcess((sys.executable, "-I", "-c", TIMED)) as worker:
        worker.start(start_frame("echo"))
        return int(worker.stop().split("\x1eE")[-1])


def compare(what: str, with_s: float, without_s: float) -> None:
    """Print a pair of times and their ratio."""
    ratio = with_s / without_s
    print(f"{what}: {with_s * 1e6:.0f} µs, without {without_s * 1e6:.0f} µs: {ratio:.2f} times")


def costs() -> None:
    """Print what the lock-down costs at start and per call."""
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            measured[name].append(start_and_call(command))
    alone_us = statistics.median(lock_down_us() for _ in range(ROUNDS))
    print(f"lock-down, without starting the thread: {alone_us:.0f} µs")
    for index, what in enumerate(("start", "call")):
        locked, unlocked = (statistics.median(pair[index] for pair in measured[name]) for name in COMMANDS)
        compare(what, locked, unlocked)


def percentile(values: list[float], share: float) -> float:
    """Return the value below which this share of them lies."""
    return sorted(values)[int(len(values) * share)]


@contextmanager
def served() -> Iterator[Path]:
    """Give a directory with the manifests of a neighbour and of a hostile actor."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        write_manifest(directory, "neighbour", "echo")
        write_manifest(directory, "hostile", "probe", "[limits]\ncall_timeout_s = 0.5")
        yield directory


async def neighbour_s(url: str) -> list[float]:
    """Return how long the neighbour's calls took, with a pause between them."""
    taken_s = []
    async with client(url) as connection:
        for number in range(NEIGHBOUR_CALLS):
            began_s = trio.current_time()
            await ask(connection, f"{number}")
            taken_s.append(trio.current_time() - began_s)
            await trio.sleep(0.005)
    return taken_s


async def attack(url: str) -> None:
    """Let the hostile actor do its worst, for ever."""
    while True:
        for command in ATTACKS:
            async with client(url) as connection:
                await connection.send_message(command)
                await trio.sleep(0.2)


async def neighbours() -> None:
    """Print the neighbour's latency while the other actor is idle, and while it does its worst."""
    idle_s: list[float] = []
    beside_s: list[float] = []
    with served() as directory:
        async with supervisor(directory) as running:
            for _ in range(TURNS):
                idle_s += await neighbour_s(running.urls["neighbour"])
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(attack, running.urls["hostile"])
                    beside_s += await neighbour_s(running.urls["neighbour"])
                    nursery.cancel_scope.cancel()
    for share in (0.5, 0.99):
        compare(f"neighbour's p{share * 100:g}", percentile(beside_s, share), percentile(idle_s, share))


if __name__ == "__main__":
    costs()
    trio.run(neighbours)
