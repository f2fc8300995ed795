"""A supervisor's status and counters as Prometheus metrics.

Everything is read when it is asked for. Labels are bounded: actors' names, and words from fixed sets.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from theater_supervisor.actor.histogram import BOUNDS_S, Histogram
from theater_supervisor.actor.lifecycle import STATES
from theater_supervisor.app import Supervisor
from theater_supervisor.gateway.connection.traffic import Traffic
from theater_supervisor.logs.queued_output import QueuedOutput
from theater_supervisor.watch.status import ActorStatus, Observer, SupervisorStatus

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
_SWITCHING_PROTOCOLS: Final = 101

_GAUGES: Final[tuple[tuple[str, str, Callable[[ActorStatus], int | None]], ...]] = (
    ("connections", "Open WebSocket connections.", attrgetter("connections")),
    ("queue_events", "Events that wait or are with the worker.", attrgetter("queue")),
    ("chain_seq", "The newest committed transition.", attrgetter("seq")),
    ("sandbox_level", "2 seccomp and Landlock, 1 seccomp, 0 neither.", attrgetter("sandbox_level")),
    ("worker_resident_memory_bytes", "Resident memory of the worker.", attrgetter("rss_bytes")),
)
_TRAFFIC: Final[tuple[tuple[str, str, Callable[[Traffic], int]], ...]] = (
    ("connections_opened", "Connections that were opened.", attrgetter("connections")),
    ("messages_received", "Messages from clients.", attrgetter("messages_in")),
    ("messages_sent", "Messages to clients.", attrgetter("messages_out")),
    ("received_bytes", "Bytes from clients.", attrgetter("bytes_in")),
    ("sent_bytes", "Bytes to clients.", attrgetter("bytes_out")),
)


def render(supervisor: Supervisor, observer: Observer, outputs: Sequence[QueuedOutput] = ()) -> bytes:
    """Return all metrics in Prometheus' text format (CONTENT_TYPE)."""
    registry = CollectorRegistry()
    registry.register(_Collector(supervisor, observer, outputs))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, supervisor: Supervisor, observer: Observer, outputs: Sequence[QueuedOutput]) -> None:
        self._supervisor = supervisor
        self._observer = observer
        self._outputs = outputs

    def describe(self) -> Iterable[Metric]:
        return ()  # registering takes no sample

    def collect(self) -> Iterator[Metric]:
        status = self._observer.status()
        yield from _of_supervisor(status)
        yield self._handshakes()
        yield from _states(status.actors)
        actors = status.actors
        for name, text, value in _GAUGES:
            yield _gauge(name, text, [(actor.name, value(actor)) for actor in actors])
        traffic = self._supervisor.gateway.traffic()
        for name, text, count in _TRAFFIC:
            carried = [(actor.name, count(traffic.get(actor.name, Traffic()))) for actor in actors]
            yield _counter(name, text, carried)
        lost = [(actor.name, actor.log_lines_lost) for actor in actors]
        yield _counter("log_lines_lost", "Lines that could not be written to an actor's log.", lost)
        suppressed = [(actor.name, actor.log_lines_suppressed) for actor in actors]
        yield _counter("log_lines_suppressed", "Lines over an actor's rate.", suppressed)
        yield self._dropped()
        yield from self._counted()

    def _dropped(self) -> Metric:
        text = "Lines to the supervisor's own stdout and stderr that nobody took."
        family = CounterMetricFamily("theater_output_lines_dropped", text, labels=["stream"])
        for output in self._outputs:
            family.add_metric([output.name], output.dropped_lines)
        return family

    def _handshakes(self) -> Metric:
        text = "Handshakes by HTTP status; 101 are those that became connections."
        family = CounterMetricFamily("theater_handshakes", text, labels=["status"])
        counts = self._supervisor.gateway.handshakes
        for status in sorted(counts | {_SWITCHING_PROTOCOLS: counts[_SWITCHING_PROTOCOLS]}):
            family.add_metric([str(status)], counts[status])
        return family

    def _counted(self) -> Iterator[Metric]:
        events = CounterMetricFamily(
            "theater_events", "Events that were handled.", labels=["actor", "outcome"]
        )
        ends = CounterMetricFamily("theater_worker_exits", "Workers that ended.", labels=["actor", "reason"])
        latency = HistogramMetricFamily(
            "theater_event_latency_seconds", "From an event's arrival to its commit.", labels=["actor"]
        )
        commits = HistogramMetricFamily(
            "theater_commit_duration_seconds", "Committing a batch of transitions.", labels=["actor"]
        )
        for name, member in sorted(self._supervisor.roster.members.items()):
            actor = member.actor
            for outcome, count in sorted(actor.outcomes.items()):
                events.add_metric([name, outcome], count)
            for reason, count in sorted(actor.lifecycle.exit_counts.items()):
                ends.add_metric([name, reason], count)
            _add(latency, name, actor.latency)
            _add(commits, name, actor.commits)
        yield from (events, ends, latency, commits)


def _of_supervisor(status: SupervisorStatus) -> Iterator[Metric]:
    info = GaugeMetricFamily("theater_supervisor_info", "The version.", labels=["version"])
    info.add_metric([status.version], 1)
    yield info
    yield GaugeMetricFamily(
        "theater_supervisor_start_time_seconds", "When it was started, Unix time.", status.started_at_us / 1e6
    )
    yield GaugeMetricFamily(
        "theater_loop_lag_seconds", "How late the event loop was last.", status.loop_lag_ms / 1e3
    )
    if status.rss_bytes is not None:
        yield GaugeMetricFamily(
            "theater_supervisor_resident_memory_bytes", "Resident memory of the supervisor.", status.rss_bytes
        )


def _states(actors: Iterable[ActorStatus]) -> Iterator[Metric]:
    family = GaugeMetricFamily(
        "theater_actor_state", "1 for the state that an actor is in.", labels=["actor", "state"]
    )
    for actor in actors:
        for state in STATES:
            family.add_metric([actor.name, state], float(actor.state == state))
    yield family


def _gauge(name: str, text: str, values: Iterable[tuple[str, int | None]]) -> Metric:
    family = GaugeMetricFamily(f"theater_{name}", text, labels=["actor"])
    for actor, value in values:
        if value is not None:
            family.add_metric([actor], value)
    return family


def _counter(name: str, text: str, values: Iterable[tuple[str, int]]) -> Metric:
    family = CounterMetricFamily(f"theater_{name}", text, labels=["actor"])
    for actor, value in values:
        family.add_metric([actor], value)
    return family


def _add(family: HistogramMetricFamily, actor: str, histogram: Histogram) -> None:
    bounds = [*map(str, BOUNDS_S), "+Inf"]
    buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
    family.add_metric([actor], buckets, histogram.total_s)
