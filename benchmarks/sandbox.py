"""What locking workers down costs, and what a hostile actor costs its neighbour and the supervisor.

Usage: python -m benchmarks.sandbox [costs | neighbours [ATTACK…]]

Everything is measured in turns with its counterpart, on the same machine in the same minutes: what counts
are the ratios. The supervisor, the neighbour's client and the attacker's are processes of their own.
"""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import trio
from tests.integration.running import Running, ask, client, close_code, share_cache, write_manifest
from tests.unit.worker.process import COMMAND, WorkerProcess, deliver, start_frame
from trio_websocket import ConnectionClosed

ROUNDS = 15
CALLS = 500
NEIGHBOUR_CALLS = 300
TURNS = 3
CALL_TIMEOUT_S = 0.5
ANSWER_TIMEOUT_S = CALL_TIMEOUT_S + 2.0
PAUSE_S = 0.1
PATIENCE_S = 30.0
ROOT = Path(__file__).parents[1]

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

# What the guest does when it is told so, and after how many seconds that is over.
BY_GUEST = {"spin": CALL_TIMEOUT_S, "recurse": 0.0, "grow": 0.0, "many 1000000": CALL_TIMEOUT_S}
# What native code in the worker's place does (tests/faults/hostile_worker.py).
BY_WORKER = {
    "million_replies": 0.0,
    "flood_of_log": ANSWER_TIMEOUT_S,
    "stopped": ANSWER_TIMEOUT_S,
    "silence": ANSWER_TIMEOUT_S,
}
# A worker that does what the file it is given says, until that is empty; then an honest one.
HOSTILE = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
os.environ["THEATER_FAULTS"] = "1"
from pathlib import Path
from tests.faults import hostile_worker as hostile
if attack := Path(sys.argv[1]).read_text():
    {{**hostile.BREAKING, **hostile.HANGING}}[attack](hostile.become_ready())
    hostile.time.sleep(hostile.FOREVER_S)
sys.exit(hostile.honest.main())
"""
# A supervisor whose actor `hostile` has such workers.
SUPERVISOR = f"""
import sys
from dataclasses import replace
from theater_supervisor import member
from theater_supervisor.cli import main
attack, made = sys.argv.pop(1), member._spec
def spec(*arguments):
    honest = made(*arguments)
    command = (sys.executable, "-c", {HOSTILE!r}, attack)
    return replace(honest, command=command) if honest.name == "hostile" else honest
member._spec = spec
main()
"""


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
    print(f"{what}: {with_s * 1e6:.0f} µs, without {without_s * 1e6:.0f} µs: {ratio:.2f} times", flush=True)


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
        limits = f"[limits]\ncall_timeout_s = {CALL_TIMEOUT_S}\n"
        write_manifest(directory, "neighbour", "echo")
        write_manifest(
            directory, "hostile", "probe", f"{limits}[restart]\nbackoff_factor = 1.0\nintensity = 10000"
        )
        (directory / "attack").touch()
        share_cache(directory / "var")
        yield directory


@asynccontextmanager
async def supervisor(directory: Path) -> AsyncIterator[Running]:
    """Run a supervisor whose actor `hostile` may get native code in its worker's place."""
    options = ["--var", str(directory / "var"), str(directory / "manifests")]
    command = [sys.executable, "-c", SUPERVISOR, str(directory / "attack"), *options]
    with (directory / "output").open("wb") as output:
        process = await trio.lowlevel.open_process(command, stdout=output, stderr=subprocess.STDOUT)
    running = Running(process, directory)
    try:
        with trio.fail_after(PATIENCE_S):
            while len(running.urls) < 2:
                await trio.sleep(0.05)
                printed = (directory / "output").read_text()
                running.urls |= dict(re.findall(r"^([a-z]+) on (ws://\S+)$", printed, re.MULTILINE))
            while not hostile_pids(running):
                await trio.sleep(0.05)
        yield running
    finally:
        process.kill()


async def call_neighbour(url: str) -> None:
    """Print how long the neighbour's calls took, with a pause between them: the whole of a process's work."""
    taken_s = []
    async with client(url) as connection:
        for number in range(NEIGHBOUR_CALLS):
            began_s = time.perf_counter()
            await ask(connection, f"{number}")
            taken_s.append(time.perf_counter() - began_s)
            await trio.sleep(0.005)
    print(json.dumps(taken_s))


async def neighbour_s(running: Running) -> list[float]:
    """Return how long the neighbour's calls take a client in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.sandbox", "client", running.urls["neighbour"]]
    done = await trio.run_process(command, capture_stdout=True, cwd=ROOT)
    taken_s: list[float] = json.loads(done.stdout)
    return taken_s


def hostile_pids(running: Running, what: str = "worker_ready") -> list[int]:
    """Return the hostile actor's workers that this happened to, in order; its own log may be flooded."""
    events = (event for event in running.events() if event["event"] == what)
    return [int(str(event["pid"])) for event in events if event["actor"] == "hostile"]


async def order(running: Running, command: str) -> float:
    """Tell the guest to do something; return how long it took until the supervisor had done with it."""
    async with client(running.urls["hostile"]) as connection:
        began_s = time.perf_counter()
        await connection.send_message(command)
        await close_code(connection)
    return time.perf_counter() - began_s


async def press(running: Running) -> float:
    """Give a hostile worker events until it is ended; return how long after the first that was."""
    ended = len(hostile_pids(running, "worker_ended"))
    async with client(running.urls["hostile"]) as connection:
        began_s = time.perf_counter()
        with suppress(ConnectionClosed):
            while len(hostile_pids(running, "worker_ended")) == ended:
                with trio.move_on_after(0.1):
                    await connection.send_message(bytes(1 << 18))
                await trio.sleep(0.05)
        return time.perf_counter() - began_s


async def attack(running: Running, name: str, contained_s: list[float]) -> None:
    """Let the hostile actor do this for ever."""
    step: Callable[[], Awaitable[float]]
    step = (lambda: order(running, name)) if name in BY_GUEST else (lambda: press(running))
    while True:
        contained_s.append(await step())
        # A flood of connections would be the gateway's matter.
        await trio.sleep(PAUSE_S)


async def arm(running: Running, name: str) -> None:
    """Put native code, or an honest worker, in the hostile actor's next worker and wait for that."""
    (running.directory / "attack").write_text(name)
    with suppress(ProcessLookupError):  # it was about to be replaced anyway
        os.kill(hostile_pids(running)[-1], signal.SIGKILL)
    await trio.sleep(1.0)


def peak_bytes(pid: int, *, forget: bool = False) -> int:
    """Return the most memory that a process has had, since it was last forgotten."""
    if forget:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) << 10


async def one_attack(running: Running, name: str, idle_s: list[float]) -> list[float]:
    """Return the neighbour's latency beside this attack, add that beside an idle actor; print the rest."""
    beside_s: list[float] = []
    contained_s: list[float] = []
    pid = running.process.pid
    before = peak_bytes(pid, forget=True)
    for _ in range(TURNS):
        await arm(running, "")
        idle_s += await neighbour_s(running)
        await arm(running, name if name in BY_WORKER else "")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(attack, running, name, contained_s)
            beside_s += await neighbour_s(running)
            while not contained_s:
                await trio.sleep(0.05)
            nursery.cancel_scope.cancel()
    print(f"{name}: supervisor + {(peak_bytes(pid) - before) / (1 << 20):.1f} MiB")
    limit_s = {**BY_GUEST, **BY_WORKER}[name]
    print(f"  contained {len(contained_s)} times, after {max(contained_s):.2f} s at most, limit {limit_s} s")
    return beside_s


async def neighbours(*names: str) -> None:
    """Print what each attack costs."""
    attacks, idle_s = names or (*BY_GUEST, *BY_WORKER), list[float]()
    with served() as directory:
        async with supervisor(directory) as running:
            beside_s = {name: await one_attack(running, name, idle_s) for name in attacks}
    # Idle runs differ by what else the disk does; all of them together are what there is to compare with.
    for name in attacks:
        for share in (0.5, 0.99):
            what = f"neighbour's p{share * 100:g} beside {name}"
            compare(what, percentile(beside_s[name], share), percentile(idle_s, share))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["client", url]:
            trio.run(call_neighbour, url)
        case ["costs"]:
            costs()
        case ["neighbours", *names]:
            trio.run(neighbours, *names)
        case _:
            costs()
            trio.run(neighbours)
