"""Large messages: echoes of 1 MiB of bytes, 4 connections with one outstanding on each."""

from collections.abc import Iterator

from benchmarks.figures import Plan, Sample, Section, Target
from benchmarks.servers import load, ours_and_peers

_SIZE = 1 << 20
_CONNECTIONS = 4
_PEERS = ("bare", "websockets", "ws")


def _large(plan: Plan) -> Iterator[Sample]:
    with ours_and_peers(_PEERS) as servers:
        for _ in range(plan.rounds):
            for name, server in servers.items():
                figures = load(
                    server.url,
                    "throughput",
                    plan.seconds,
                    connections=_CONNECTIONS,
                    outstanding=1,
                    size=_SIZE,
                    binary=True,
                )
                yield Sample(name, figures["per_s"], "messages/s")


LARGE = Section(
    "large",
    "Echoes of 1 MiB binary messages, 4 connections with one outstanding on each.",
    _large,
    (Target("ours, power-loss", 1.5, at_least=True, over="bare"),),
    baseline="bare",
)
