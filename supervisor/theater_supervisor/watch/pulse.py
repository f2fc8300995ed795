"""What changes by the second: how late the event loop is, and the rates and latencies of every actor.

Samples are taken once a second and compared with those of some seconds before; nothing is counted for it.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import trio

from theater_supervisor.actor.histogram import quantile_s
from theater_supervisor.app import Supervisor
from theater_supervisor.gateway.connection.traffic import Traffic

BEAT_S: Final = 1.0
HEALTHY_LAG_S: Final = 1.0
_WINDOW_BEATS: Final = 10
_NO_TRAFFIC: Final = Traffic()


@dataclass(frozen=True, slots=True)
class Rates:
    """What an actor did in the last seconds; the latencies are None when it released nothing."""

    received_per_s: float = 0.0
    sent_per_s: float = 0.0
    p50_s: float | None = None
    p99_s: float | None = None
    errors_per_s: float = 0.0


_AT_REST: Final = Rates()


class Sample(NamedTuple):
    """An actor's counts at one time."""

    at_s: float
    received: int
    sent: int
    latency_counts: tuple[int, ...]
    failed: int = 0


def rates(before: Sample, now: Sample) -> Rates:
    """Return what happened between two samples."""
    took_s = now.at_s - before.at_s
    if took_s <= 0:
        return _AT_REST
    idle = (now.received, now.sent, now.failed) == (before.received, before.sent, before.failed)
    if idle and now.latency_counts == before.latency_counts:  # as most of many actors are, every second
        return _AT_REST
    counts = [new - old for new, old in zip(now.latency_counts, before.latency_counts, strict=True)]
    return Rates(
        (now.received - before.received) / took_s,
        (now.sent - before.sent) / took_s,
        quantile_s(counts, 0.5),
        quantile_s(counts, 0.99),
        (now.failed - before.failed) / took_s,
    )


class Pulse:
    """Beats once a second while `run` runs. `lag_s` is how late the last beat was."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.lag_s = 0.0
        self._supervisor = supervisor
        self._samples: dict[str, deque[Sample]] = {}

    @property
    def healthy(self) -> bool:
        """Whether the event loop keeps up."""
        return self.lag_s < HEALTHY_LAG_S

    def rates(self, actor: str) -> Rates:
        """Return an actor's rates over the last ten seconds, as of the last beat."""
        samples = self._samples.get(actor)
        return rates(samples[0], samples[-1]) if samples else _AT_REST

    async def run(self, on_beat: Callable[[], None]) -> None:
        """Beat until cancelled."""
        while True:
            due_s = trio.current_time() + BEAT_S
            await trio.sleep_until(due_s)
            self.lag_s = trio.current_time() - due_s
            self._take_samples(self._supervisor.gateway.traffic())
            on_beat()

    def _take_samples(self, traffic: Mapping[str, Traffic]) -> None:
        members = self._supervisor.roster.members
        for name in self._samples.keys() - members.keys():
            del self._samples[name]
        now_s = trio.current_time()
        for name, member in members.items():
            carried = traffic.get(name, _NO_TRAFFIC)
            counts = tuple(member.actor.latency.counts)
            if name not in self._samples:
                self._samples[name] = deque(maxlen=_WINDOW_BEATS + 1)
            failed = member.actor.failures.count
            self._samples[name].append(
                Sample(now_s, carried.messages_in, carried.messages_out, counts, failed)
            )
