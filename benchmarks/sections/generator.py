"""The load generator itself: whether it is what is measured, with the fastest peer and with ours.

It is when a second one gets more out of the server than one alone, or when it needs a whole core while the
server has time left.
"""

import time
from collections.abc import Iterator

from benchmarks.figures import Plan, Sample, Section
from benchmarks.servers import Actor, Server, finish_load, ours, peers, scratch, start_load

_CONNECTIONS = 32
_SERVER_FROM_S, _SERVER_SHARE = 0.5, 0.6  # when the server's CPU time is looked at, within the load


def _one_and_two(name: str, server: Server, seconds: float) -> Iterator[Sample]:
    one = start_load(server.url, "throughput", seconds, connections=_CONNECTIONS)
    time.sleep(_SERVER_FROM_S)
    before_s = server.cpu_s()
    time.sleep(seconds * _SERVER_SHARE)
    share = (server.cpu_s() - before_s) / (seconds * _SERVER_SHARE)
    figures = finish_load(one, seconds)
    yield Sample(f"{name}, one generator", figures["per_s"], "messages/s")
    yield Sample(f"{name}, generator's CPU", figures["cpu_share"], "cores")
    yield Sample(f"{name}, server's CPU", share, "cores")
    two = [start_load(server.url, "throughput", seconds, connections=_CONNECTIONS // 2) for _ in range(2)]
    both = sum(finish_load(each, seconds)["per_s"] for each in two)
    yield Sample(f"{name}, two generators", both, "messages/s")


def _generator(plan: Plan) -> Iterator[Sample]:
    with scratch() as home, ours(home, Actor("ours")) as servers, peers(("ws",)) as fastest:
        for _ in range(plan.rounds):
            for name, server in (servers | fastest).items():
                yield from _one_and_two(name, server, plan.seconds)


GENERATOR = Section(
    "generator",
    "The load generator against the fastest peer and ours: its share of a core, and whether two get more.",
    _generator,
)
