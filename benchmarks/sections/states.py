"""Large states through the whole path: ones that change with every message, and ones that stay as they are.

Echoes of 16-byte texts at `power-loss`, 32 connections with 4 outstanding on each.
"""

from collections.abc import Iterator

from benchmarks.figures import Plan, Sample, Section, Target
from benchmarks.servers import Actor, load, ours, scratch

_SIZES = {"4 B": 4, "64 KiB": 1 << 16, "1 MiB": 1 << 20}
_ACTORS = {"changes": "touch_echo", "stays": "echo"}


def _states(plan: Plan) -> Iterator[Sample]:
    rows = {f"{size}, {what}": (size, what) for what in _ACTORS for size in _SIZES}
    actors = [
        Actor(f"actor{number}", component=_ACTORS[what], state=bytes(_SIZES[size]))
        for number, (size, what) in enumerate(rows.values())
    ]
    with scratch() as home, ours(home, *actors) as servers:
        for _ in range(plan.rounds):
            for row, actor in zip(rows, actors, strict=True):
                figures = load(servers[actor.name].url, "throughput", plan.seconds)
                yield Sample(row, figures["per_s"], "messages/s")


STATES = Section(
    "states",
    "Echoes a second of an actor with a large state, which changes with every message, or stays.",
    _states,
    (
        Target("64 KiB, changes", 1000, at_least=True),
        Target("1 MiB, changes", 60, at_least=True),
        Target("64 KiB, stays", 0.9, at_least=True, over="4 B, stays"),
        Target("1 MiB, stays", 0.9, at_least=True, over="4 B, stays"),
    ),
    baseline="4 B, stays",
)
