"""A good client beside hostile ones: its latency idle and under each attack, and the supervisor's memory.

    python -m benchmarks.gateway_abuse [NICENESS] [ATTACK …]

The attacks are those of tests/faults/gateway_attacks.py at their full counts, again and again for ten seconds
at least, in a process of their own; the supervisor and its worker have two, and this one has the good client
alone. With fewer cores than four busy processes the latency has what the scheduler adds in it, and so has the
idle one. Attackers as a rule have machines of their own: with a NICENESS of 19 they get what the others leave
them.
"""

import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import trio
from tests.faults.gateway_attacks import ATTACKS, let_loose
from tests.integration.gateway_rig import TEXT, frame, request
from tests.integration.running import Running, ask, client, supervisor, write_manifest

from theater_supervisor.process.containment import resident_bytes

LEAST_S: Final = 10
PAUSE_S: Final = 0.005
SETTLE_S: Final = 8
SIZE: Final = 16
RECEIVE_BYTES: Final = 4096
TIMEOUT_S: Final = 60
MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Measured:
    """The good client's latency in ms, and the supervisor's memory in MiB: at its peak and after it."""

    asked: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    grown_mib: float
    kept_mib: float


def memory_bytes(running: Running) -> int:
    """The supervisor's resident set."""
    return resident_bytes(running.process.pid) or 0


def latencies(url: str, over: trio.Event) -> list[float]:
    """Ask for an echo again and again on a blocking socket; return the seconds of each, in order of size."""
    taken: list[float] = []
    where, asked = urlsplit(url), frame(TEXT, bytes(SIZE))
    with socket.create_connection((where.hostname, where.port), TIMEOUT_S) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(request())
        while not sock.recv(RECEIVE_BYTES).endswith(b"\r\n\r\n"):
            pass
        while not over.is_set():
            started = time.perf_counter()
            sock.sendall(asked)
            missing = SIZE + 2
            while missing:
                missing -= len(sock.recv(missing))
            taken.append(time.perf_counter() - started)
            time.sleep(PAUSE_S)
    return sorted(taken)


async def measure(running: Running, name: str, count: int, niceness: int) -> Measured:
    """Let the attack, or nothing for "idle", go on beside the good client."""
    url, over, taken = running.urls["echo"], trio.Event(), list[float]()
    before = memory_bytes(running)
    peak = [before]

    async def good() -> None:
        taken.extend(await trio.to_thread.run_sync(latencies, url, over))

    async def watch() -> None:
        while not over.is_set():
            peak.append(memory_bytes(running))
            await trio.sleep(0.05)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(good)
        nursery.start_soon(watch)
        if name == "idle":
            await trio.sleep(LEAST_S)
        else:
            until_s = trio.current_time() + LEAST_S
            while trio.current_time() < until_s:
                await let_loose(name, url, count, niceness)
        over.set()
    await trio.sleep(SETTLE_S)
    at = [taken[len(taken) * percent // 100] * 1e3 for percent in (50, 99)]
    grown, kept = ((octets - before) / MIB for octets in (max(peak), memory_bytes(running)))
    return Measured(len(taken), *at, taken[-1] * 1e3, grown, kept)


async def main(names: list[str], niceness: int) -> None:
    """Measure idle, then beside each attack."""
    with tempfile.TemporaryDirectory() as directory:
        write_manifest(Path(directory), "echo", "echo", compression=True, max_connections=2000)
        async with supervisor(Path(directory)) as running:
            async with client(running.urls["echo"]) as first:
                await ask(first, "warm")
            counts = {"idle": 0} | {attack.__name__: count for attack, count, _ in ATTACKS}
            idle_ms = None
            for name in counts if not names else ["idle", *names]:
                seen = await measure(running, name, counts[name], niceness)
                idle_ms = idle_ms or seen.p99_ms
                print(
                    f"{name:18} p50 {seen.p50_ms:7.1f}  p99 {seen.p99_ms:7.1f}  max {seen.max_ms:7.1f} ms"
                    f"  of {seen.asked:5}  p99 {seen.p99_ms / idle_ms:5.1f} x idle"
                    f"  memory +{seen.grown_mib:.0f} MiB, after it +{seen.kept_mib:.0f} MiB",
                    flush=True,
                )


if __name__ == "__main__":
    names = sys.argv[1:]
    trio.run(main, names, int(names.pop(0)) if names and names[0].isdigit() else 0)
