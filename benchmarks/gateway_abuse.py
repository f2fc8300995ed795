"""A good client beside hostile ones: its latency idle and under each attack, and the supervisor's memory.

    python -m benchmarks.gateway_abuse [ATTACK …]

The attacks are those of tests/faults/test_gateway_abuse.py at their full counts, against a real supervisor.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import trio
from tests.faults.test_gateway_abuse import ATTACKS, Attack, memory_bytes
from tests.integration.running import Running, ask, client, supervisor, write_manifest

IDLE_S: Final = 5
PAUSE_S: Final = 0.005
MIB: Final = 1024 * 1024


async def latencies(url: str, over: trio.Event) -> list[float]:
    """Ask for an echo again and again; return the seconds that each took, in order of size."""
    taken: list[float] = []
    async with client(url) as good:
        while not over.is_set():
            started = time.perf_counter()
            await ask(good, "ping")
            taken.append(time.perf_counter() - started)
            await trio.sleep(PAUSE_S)
    return sorted(taken)


async def measure(
    running: Running, attack: Attack | None, total: int, at_once: int
) -> tuple[float, float, int]:
    """Return the good client's p50 and p99 in ms, and the growth of memory in MiB, during an attack."""
    url, over, places = running.urls["echo"], trio.Event(), trio.CapacityLimiter(at_once)
    before, peak, taken = memory_bytes(running), [memory_bytes(running)], list[float]()

    async def one(number: int) -> None:
        async with places:
            if attack is not None:
                await attack(url, number)

    async def good() -> None:
        taken.extend(await latencies(url, over))

    async def watch() -> None:
        while not over.is_set():
            peak.append(memory_bytes(running))
            await trio.sleep(0.05)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(good)
        nursery.start_soon(watch)
        if attack is None:
            await trio.sleep(IDLE_S)
        async with trio.open_nursery() as attackers:
            for number in range(total):
                attackers.start_soon(one, number)
        over.set()
    return taken[len(taken) // 2] * 1e3, taken[len(taken) * 99 // 100] * 1e3, (max(peak) - before) // MIB


async def main(names: list[str]) -> None:
    """Measure idle, then beside each attack."""
    with tempfile.TemporaryDirectory() as directory:
        write_manifest(Path(directory), "echo", "echo", compression=True)
        async with supervisor(Path(directory)) as running:
            async with client(running.urls["echo"]) as first:
                await ask(first, "warm")
            _, idle_ms, _ = await measure(running, None, 0, 1)
            print(f"{'idle':16} p99 {idle_ms:6.1f} ms")
            for attack, total, at_once in ATTACKS:
                if names and attack.__name__ not in names:
                    continue
                p50_ms, p99_ms, grown_mib = await measure(running, attack, total, at_once)
                print(
                    f"{attack.__name__:16} p50 {p50_ms:6.1f} ms  p99 {p99_ms:6.1f} ms"
                    f"  {p99_ms / idle_ms:5.1f} x idle  memory +{grown_mib} MiB"
                )


if __name__ == "__main__":
    trio.run(main, sys.argv[1:])
