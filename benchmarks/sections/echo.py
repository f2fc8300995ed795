"""Echo: ours, durable and exactly once, against servers that keep nothing and one that counts on disk.

Throughput has 32 connections with 4 messages outstanding on each, latency one with one; texts of 16 bytes.
"""

from collections.abc import Iterator

from benchmarks.figures import Plan, Sample, Section, Target
from benchmarks.servers import load, ours_and_peers, settle_journal

_LATENCY_SHARE = 0.5  # a latency needs less time than a throughput to settle


def _throughput(plan: Plan) -> Iterator[Sample]:
    with ours_and_peers() as servers:
        for _ in range(plan.rounds):
            for name, server in servers.items():
                yield Sample(name, load(server.url, "throughput", plan.seconds)["per_s"], "messages/s")


def _latency(plan: Plan) -> Iterator[Sample]:
    seconds = plan.seconds * _LATENCY_SHARE
    with ours_and_peers() as servers:
        for name, server in servers.items():
            if name.startswith("ours"):
                yield Sample(f"{name}, new journal", load(server.url, "latency", seconds)["p50_us"], "µs p50")
                settle_journal(server)
        for _ in range(plan.rounds):
            for name, server in servers.items():
                figures = load(server.url, "latency", seconds)
                yield Sample(name, figures["p50_us"], "µs p50")
                yield Sample(f"{name} p99", figures["p99_us"], "µs p99")


THROUGHPUT = Section(
    "throughput",
    "Echoes of 16-byte texts, 32 connections with 4 outstanding on each.",
    _throughput,
    (
        Target("ours, power-loss", 1.5, at_least=True, over="bare"),
        Target("ours, power-loss", 4, at_least=True, over="workerd"),
    ),
    baseline="bare",
    busy_targets=(Target("ours, power-loss", 1.4, at_least=True, over="bare"),),
)
LATENCY = Section(
    "latency",
    "An echo of a 16-byte text, one connection with one outstanding.",
    _latency,
    (Target("ours, power-loss", 3, over="bare"), Target("ours, process-crash", 2, over="bare")),
    baseline="bare",
    busy_targets=(
        Target("ours, power-loss", 3.5, over="bare"),
        Target("ours, process-crash", 2.3, over="bare"),
    ),
)
