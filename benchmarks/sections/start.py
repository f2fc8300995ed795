"""Starting: many actors under one supervisor, each worker's start and memory, idle CPU, and kill -9.

Every actor's worker is killed once, while a client is connected, and the next reply is waited for. So it is
the first death of an actor with the manifest's defaults, for which the restart policy has no delay.
"""

import contextlib
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psutil

from benchmarks.figures import Plan, Sample, Section, Target, percentile
from benchmarks.load import connect, echo_bytes, message_frame
from benchmarks.servers import Actor, Server, ours, scratch

_ACTORS, _FULL_ACTORS = 40, 200
_SIZE = 16
_CONFIG = "port = 0, max_connections = 16"  # 200 times the default needs more descriptors than there may be
_SETTLE_S, _IDLE_S = 2.0, 10.0
_PATIENCE_S = 60.0
_SPAWNED = re.compile(r"^(\S+) \S+ S spawned pid (\d+)$", re.MULTILINE)


def _start(plan: Plan) -> Iterator[Sample]:
    count = _FULL_ACTORS if plan.full else _ACTORS
    actors = [Actor(f"actor{number}", config=_CONFIG) for number in range(count)]
    with scratch() as elsewhere, ours(elsewhere, actors[0]):
        pass  # now the component is compiled, in the cache that all share
    with scratch() as home:
        begun_s = time.monotonic()
        with ours(home, *actors, log_level="info") as servers:
            _await_ready(home, count, 1)
            yield Sample(f"{count} actors ready", time.monotonic() - begun_s, "s")
            pids = {name: _spawned(home, name)[0][1] for name in servers}
            for pid in pids.values():
                yield Sample("private memory of a worker", _private_bytes(pid) / 1e6, "MB")
            yield Sample("idle CPU of all", _idle_share(next(iter(servers.values()))), "% of a core")
            taken_ms = [_kill_to_reply(server, pids[name]) * 1e3 for name, server in servers.items()]
            yield Sample("kill -9 to next reply, p50", percentile(taken_ms, 50), "ms")
            yield Sample("kill -9 to next reply, p95", percentile(taken_ms, 95), "ms")
            # Those that were killed came back one at a time, with the machine to themselves.
            for name, times in _await_ready(home, count, 2).items():
                spawned_at, _ = _spawned(home, name)[1]
                yield Sample("spawn to Ready", (times[1] - spawned_at).total_seconds() * 1e3, "ms")


def _await_ready(home: Path, actors: int, times: int) -> dict[str, list[datetime]]:
    """Wait until every actor's workers were ready so many times; return when, by actor."""
    until_s = time.monotonic() + _PATIENCE_S
    while True:
        ready = _ready(home)
        if len(ready) == actors and all(len(each) >= times for each in ready.values()):
            return ready
        if time.monotonic() > until_s:
            raise TimeoutError(f"of {actors} actors only {len(ready)} were ready in {_PATIENCE_S} s")
        time.sleep(0.05)


def _ready(home: Path) -> dict[str, list[datetime]]:
    ready: dict[str, list[datetime]] = {}
    for line in (home / "var" / "log" / "supervisor.log").read_text().splitlines(keepends=True):
        event = json.loads(line) if line.endswith("\n") else {}
        if event.get("event") == "worker_ready":
            ready.setdefault(event["actor"], []).append(datetime.fromisoformat(event["timestamp"]))
    return ready


def _spawned(home: Path, actor: str) -> list[tuple[datetime, int]]:
    """Return when an actor's workers were spawned, and their pids."""
    log = (home / "var" / "log" / f"{actor}.log").read_text()
    return [(datetime.fromisoformat(at), int(pid)) for at, pid in _SPAWNED.findall(log)]


def _private_bytes(pid: int) -> int:
    return int(psutil.Process(pid).memory_full_info().uss)


def _idle_share(server: Server) -> float:
    time.sleep(_SETTLE_S)
    before_s = server.cpu_s()
    time.sleep(_IDLE_S)
    return (server.cpu_s() - before_s) / _IDLE_S * 100


def _kill_to_reply(server: Server, pid: int) -> float:
    with contextlib.closing(connect(server.url)) as client:
        _echo(client)
        begun_s = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        _echo(client)
        return time.monotonic() - begun_s


def _echo(client: socket.socket) -> None:
    client.sendall(message_frame(_SIZE))
    missing = echo_bytes(_SIZE)
    while missing:
        chunk = client.recv(missing)
        if not chunk:
            raise ConnectionError("the connection did not survive its worker")
        missing -= len(chunk)


START = Section(
    "start",
    f"Starting {_ACTORS} actors, or {_FULL_ACTORS} with --full, with a component compiled beforehand.",
    _start,
    (
        Target("spawn to Ready", 100),
        Target("private memory of a worker", 14),
        Target("kill -9 to next reply, p95", 300),
        Target(f"{_FULL_ACTORS} actors ready", 40),
        Target("idle CPU of all", 2),
    ),
)
