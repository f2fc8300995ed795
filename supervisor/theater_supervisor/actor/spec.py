"""What an actor runs and within which bounds: plain values, made from its manifest."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from theater_protocol.messages import Limits, Start
from theater_supervisor.actor.delivery import WindowLimits
from theater_supervisor.manifest.tables import RestartPolicy
from theater_supervisor.process.containment import Containment
from theater_supervisor.process.spawn import WORKER_COMMAND


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a worker may take.

    `answer_s` is for one delivery and lies above the call's own limit; `stop_s` is from being told to stop
    until it is made to, `exit_s` from the end of its pipe, or a signal, until the process has ended.
    """

    start_s: float = 10.0
    answer_s: float = 7.0
    stop_s: float = 5.0
    exit_s: float = 2.0


@dataclass(frozen=True, slots=True)
class ActorSpec:
    """What an actor runs: its compiled component, the limits of a call, and when it is restarted."""

    name: str
    compiled_path: str
    component_sha256: bytes
    limits: Limits
    deadlines: Deadlines = field(default_factory=Deadlines)
    window: WindowLimits = field(default_factory=WindowLimits)
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    containment: Containment = field(default_factory=Containment)
    command: Sequence[str] = WORKER_COMMAND

    def runs_like(self, other: "ActorSpec") -> bool:
        """Say whether a worker of the other one is as good: only what the supervisor does may differ."""
        return self == replace(other, deadlines=self.deadlines, window=self.window, restart=self.restart)

    def start_frame(self, seed: bytes, state: bytes | None) -> Start:
        """Return what a worker is told first."""
        return Start(self.name, self.compiled_path, self.component_sha256, self.limits, seed, state)
