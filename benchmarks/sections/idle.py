"""Idle connections: what one costs in memory, how fast they are accepted, and what they cost a busy one.

Keepalive is on, and the clients answer its pings. The busy connection has one message outstanding. The same
with bare trio-websocket, which has no keepalive.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.figures import Plan, Sample, Section, Target
from benchmarks.servers import (
    ROOT,
    START_TIMEOUT_S,
    Actor,
    Server,
    load,
    ours,
    peers,
    scratch,
    settle_journal,
)

_CONNECTIONS = 5000
_SETTLE_S = 3.0
_LATENCY_SHARE = 0.5


@contextlib.contextmanager
def _held(url: str) -> Iterator[float]:
    """Keep the connections open during the block; give how many were accepted a second."""
    command = [sys.executable, "-m", "benchmarks.hold", url, str(_CONNECTIONS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        try:
            yield json.loads(holder.stdout.readline())["accepted_per_s"]
        finally:
            holder.stdin.close()
            holder.wait(START_TIMEOUT_S)


def _memory_bytes(server: Server) -> int:
    return int(server.process.memory_info().rss)


def _with_idle(name: str, server: Server, plan: Plan) -> Iterator[Sample]:
    seconds = plan.seconds * _LATENCY_SHARE
    alone = [load(server.url, "latency", seconds)["p50_us"] for _ in range(plan.rounds)]
    before = _memory_bytes(server)
    with _held(server.url) as accepted_per_s:
        time.sleep(_SETTLE_S)
        among = [load(server.url, "latency", seconds)["p50_us"] for _ in range(plan.rounds)]
        each_bytes = (_memory_bytes(server) - before) / _CONNECTIONS
    yield Sample(f"{name}, memory of a connection", each_bytes / 1024, "KiB")
    yield Sample(f"{name}, accepted", accepted_per_s, "connections/s")
    yield from (Sample(f"{name}, busy connection alone", value, "µs p50") for value in alone)
    yield from (Sample(f"{name}, busy connection among them", value, "µs p50") for value in among)


def _idle(plan: Plan) -> Iterator[Sample]:
    actor = Actor("ours", config=f"port = 0, max_connections = {_CONNECTIONS + 10}")
    with scratch() as home, ours(home, actor) as servers:
        settle_journal(servers["ours"])
        yield from _with_idle("ours", servers["ours"], plan)
    with peers(("bare",)) as servers:
        yield from _with_idle("bare", servers["bare"], plan)


IDLE = Section(
    "idle",
    f"{_CONNECTIONS:,} idle connections: the server's memory for each, and a busy connection among them.",
    _idle,
    (
        Target("ours, memory of a connection", 40),
        Target("ours, busy connection among them", 1.5, over="ours, busy connection alone"),
    ),
)
