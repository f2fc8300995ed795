"""Everything an operator sees of a supervisor at one moment, as plain values.

Taken here, shown elsewhere: by theaterctl, in var/run/status.json, as metrics. Nothing is changed by looking.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import trio

from theater_supervisor import __version__
from theater_supervisor.actor.actor import Actor
from theater_supervisor.actor.lifecycle import ActorState
from theater_supervisor.app import Supervisor
from theater_supervisor.components.progress import Step
from theater_supervisor.gateway.connection.traffic import Traffic
from theater_supervisor.member import Member
from theater_supervisor.process.containment import resident_bytes
from theater_supervisor.process.exit import ExitRecord, SandboxViolated
from theater_supervisor.watch.pulse import Pulse

_UNWANTED: Final = frozenset({"stopped", "ended"})
_MEMORY_HOLDS_S: Final = 10.0
_ERROR_SHOWN_S: Final = 300.0
_NO_TRAFFIC: Final = Traffic()


class ActorStatus(NamedTuple):
    """An actor at one moment; a named tuple, because there is one for every actor every second.

    `uptime_s` is how long its worker has been ready. `restarts` counts what ended workers, operators aside,
    `restarts_in_period` what of it counts against the restart intensity. `sandbox_level` is what its latest
    worker reached. `rss_bytes` of one without events is that of some seconds ago. `errors` are events
    that failed, `last_error` is the last of them. `note` says what is remarkable.
    """

    name: str
    state: ActorState
    pid: int | None
    incarnation: int
    uptime_s: float | None
    restarts_in_period: int
    restarts: int
    connections: int
    max_connections: int
    received: int
    sent: int
    received_per_s: float
    sent_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    rss_bytes: int | None
    sandbox_level: int | None
    queue: int
    seq: int
    head: str
    next_try_s: float | None
    log_lines_lost: int
    log_lines_suppressed: int
    errors: int
    errors_per_s: float
    last_error: dict[str, Any] | None
    note: str

    @property
    def ready(self) -> bool:
        """Whether clients are served."""
        return self.state == "ready"

    @property
    def wanted(self) -> bool:
        """Whether it is to be ready: neither the operator nor its policy has it stopped."""
        return self.state not in _UNWANTED


@dataclass(frozen=True, slots=True)
class SupervisorStatus:
    """A supervisor and its actors at one moment; times are Unix µs, `tasks` are those of its event loop.

    `preparing` says of each component that a start or a reload waits for how far it is. There are no actors
    before anything is served.
    """

    version: str
    pid: int
    phase: str
    at_us: int
    started_at_us: int
    loop_lag_ms: float
    tasks: int
    rss_bytes: int | None
    preparing: tuple[dict[str, Any], ...]
    actors: tuple[ActorStatus, ...]

    @property
    def unready(self) -> tuple[ActorStatus, ...]:
        """The actors that should be ready and are not."""
        return tuple(actor for actor in self.actors if actor.wanted and not actor.ready)


class _Memory(NamedTuple):
    """What a worker used after so many transitions, and until when that is good enough."""

    pid: int
    seq: int
    until_s: float
    used_bytes: int | None


class Observer:
    """Takes a supervisor's status."""

    def __init__(self, supervisor: Supervisor, pulse: Pulse) -> None:
        self._supervisor = supervisor
        self._pulse = pulse
        self._started_at_us = time.time_ns() // 1000
        self._memory = WeakKeyDictionary[Actor, _Memory]()

    def status(self) -> SupervisorStatus:
        """Return what is to be seen now."""
        return SupervisorStatus(
            version=__version__,
            pid=os.getpid(),
            phase=self._supervisor.phase,
            at_us=time.time_ns() // 1000,
            started_at_us=self._started_at_us,
            loop_lag_ms=round(self._pulse.lag_s * 1000, 3),
            tasks=trio.lowlevel.current_statistics().tasks_living,
            rss_bytes=resident_bytes(os.getpid()),
            preparing=tuple(_step_object(step) for step in self._supervisor.progress.steps()),
            actors=self._actors() if self._supervisor.serving.is_set() else (),
        )

    def _actors(self) -> tuple[ActorStatus, ...]:
        traffic = self._supervisor.gateway.traffic()
        counts = self._count_connections()
        return tuple(
            self._actor(member, traffic.get(name, _NO_TRAFFIC), counts.get(name, 0))
            for name, member in sorted(self._supervisor.roster.members.items())
        )

    def _count_connections(self) -> Mapping[str, int]:
        counts: dict[str, int] = {}
        for connection in self._supervisor.gateway.connections:
            counts[connection.actor] = counts.get(connection.actor, 0) + 1
        return counts

    def _actor(self, member: Member, traffic: Traffic, connections: int) -> ActorStatus:
        actor, lifecycle = member.actor, member.actor.lifecycle
        rates = self._pulse.rates(actor.name)
        head = actor.head
        return ActorStatus(
            name=actor.name,
            state=lifecycle.state,
            pid=actor.worker_pid,
            incarnation=actor.incarnation,
            uptime_s=actor.worker_ready_s,
            restarts_in_period=lifecycle.deaths_in_period,
            restarts=sum(lifecycle.exit_counts.values()) - lifecycle.exit_counts["stopped"],
            connections=connections,
            max_connections=sum(
                handler.config.max_connections for handler in member.configured.manifest.handlers
            ),
            received=traffic.messages_in,
            sent=traffic.messages_out,
            received_per_s=round(rates.received_per_s, 1),
            sent_per_s=round(rates.sent_per_s, 1),
            p50_ms=_ms(rates.p50_s),
            p99_ms=_ms(rates.p99_s),
            rss_bytes=self._worker_bytes(actor),
            sandbox_level=actor.sandbox_level,
            queue=actor.queue,
            seq=head.seq,
            head=head.hash.hex(),
            next_try_s=lifecycle.next_try_s,
            log_lines_lost=member.log.lost_lines,
            log_lines_suppressed=member.log.suppressed_lines,
            errors=actor.failures.count,
            errors_per_s=round(rates.errors_per_s, 2),
            last_error=actor.failures.last[-1].to_object() if actor.failures.last else None,
            note=_note(member, rates.errors_per_s),
        )

    def _worker_bytes(self, actor: Actor) -> int | None:
        """Return the memory of its worker. One that had no event since the last look has what it had."""
        pid, seq, now_s = actor.worker_pid, actor.head.seq, trio.current_time()
        if pid is None:
            return None
        seen = self._memory.get(actor)
        if seen and (seen.pid, seen.seq) == (pid, seq) and not actor.queue and now_s < seen.until_s:
            return seen.used_bytes
        used_bytes = resident_bytes(pid)
        self._memory[actor] = _Memory(pid, seq, now_s + _MEMORY_HOLDS_S, used_bytes)
        return used_bytes


def to_object(status: SupervisorStatus) -> dict[str, Any]:
    """Return the status as JSON's types, the actors' `ready` and `wanted` included."""
    actors = [actor._asdict() | {"ready": actor.ready, "wanted": actor.wanted} for actor in status.actors]
    # dataclasses.asdict would copy every actor's values first.
    return {field.name: getattr(status, field.name) for field in fields(status)} | {"actors": actors}


def _step_object(step: Step) -> dict[str, Any]:
    return asdict(step) | {"component": str(step.component), "elapsed_s": round(step.elapsed_s, 1)}


def exit_object(record: ExitRecord) -> dict[str, Any]:
    """Return the record of a worker's end as JSON's types."""
    return {
        "at_us": record.at_us,
        "incarnation": record.incarnation,
        "pid": record.exit.pid,
        "class": record.exit.how.label,
        "how": str(record.exit),
        "lived_s": record.exit.lived_s,
        "ready_s": record.exit.ready_s,
        "in_hand": record.in_hand,
        "lines": list(record.lines),
        "then": record.then,
    }


def _note(member: Member, errors_per_s: float) -> str:
    lifecycle = member.actor.lifecycle
    last = str(lifecycle.exits[-1].exit) if lifecycle.exits else ""
    in_s = f"in {lifecycle.next_try_s:.1f} s" if lifecycle.next_try_s is not None else "under way"
    match lifecycle.state:
        case "waiting":
            return f"next try {in_s}; {last}" if last else f"next try {in_s}"
        case "held" if lifecycle.exits and isinstance(lifecycle.exits[-1].exit.how, SandboxViolated):
            return f"for the operator to look at; {last}"
        case "held":
            return f"died too often, probe {in_s}; {last}"
        case "ended":
            return f"policy {member.configured.manifest.restart.policy}; {last}"
        case "recovering":
            return "its journal cannot be written"
        case "stopped":
            return "by the operator"
        case "starting" | "ready":
            return _failing(member.actor, errors_per_s)


def _failing(actor: Actor, errors_per_s: float) -> str:
    """Say that events fail, and how the last one did; "" when none has for some minutes."""
    if not actor.failures.last:
        return ""
    last = actor.failures.last[-1]
    ago_s = max(0.0, time.time() - last.at_us / 1_000_000)
    if ago_s > _ERROR_SHOWN_S and not errors_per_s:
        return ""
    rate = f"{errors_per_s:.3g} errors/s" if errors_per_s else f"error {ago_s:.0f} s ago"
    return f"{rate}: {last.outcome} on {last.where}: {last.reason}"


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)
