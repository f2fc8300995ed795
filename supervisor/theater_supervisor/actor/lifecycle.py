"""Whether an actor is to have a worker, and from when on: the restart policy's decisions and the operator's.

It keeps the time and the state that others see. It starts no worker and knows neither events nor clients.
"""

import math
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Final, Literal, get_args

import trio
from structlog.typing import FilteringBoundLogger

from theater_supervisor.actor.doorbell import Doorbell
from theater_supervisor.actor.restart import Decision, History, Hold, Leave, Restart, decide
from theater_supervisor.manifest.tables import RestartPolicy
from theater_supervisor.process.exit import EXITS_KEPT, Exit, ExitRecord, SandboxViolated, Stopped

ActorState = Literal["starting", "ready", "waiting", "recovering", "held", "ended", "stopped"]

STATES: Final[tuple[ActorState, ...]] = get_args(ActorState)
RETRY_AFTER_S: Final = 5
_STOPPED: Final = "nothing: the operator stopped it"
_WELCOMING: Final = frozenset({"starting", "ready", "waiting"})
_RESTING: Final = frozenset({"held", "ended", "stopped"})


class Lifecycle:
    """The state of an actor's worker, its last exits, and when the next worker is due.

    A state is one of: starting, ready, waiting (for the next try; events are kept), recovering (the journal),
    held (past the restart intensity), ended (the policy wants no more workers), stopped (by the operator).
    """

    def __init__(
        self,
        policy: RestartPolicy,
        event_log: FilteringBoundLogger,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.state: ActorState = "starting"
        self.exits: deque[ExitRecord] = deque(maxlen=EXITS_KEPT)
        self.exit_counts: Counter[str] = Counter()
        self._policy = policy
        self._event_log = event_log
        self._chance = chance
        self._history = History()
        self._due_s = -math.inf
        self._bell = Doorbell()

    @property
    def resting(self) -> bool:
        """Whether there is no worker and none is wanted soon: clients are turned away."""
        return self.state in _RESTING

    @property
    def working(self) -> bool:
        """Whether there is a worker, or will soon be one, for the events."""
        return self.state in _WELCOMING

    @property
    def retry_after_s(self) -> int | None:
        """None while clients are welcome, else how long a refused one should wait."""
        if self.state in _WELCOMING:
            return None
        next_try_s = self.next_try_s
        return RETRY_AFTER_S if next_try_s is None else max(1, math.ceil(next_try_s))

    @property
    def next_try_s(self) -> float | None:
        """In how many seconds the next worker is due, None when none is or one runs."""
        if self.state not in ("waiting", "held") or math.isinf(self._due_s):
            return None
        return max(0.0, self._due_s - trio.current_time())

    @property
    def deaths_in_period(self) -> int:
        """How many deaths count against the intensity now."""
        now_s = trio.current_time()
        return sum(now_s - at_s <= self._policy.period_s for at_s in self._history.deaths_s)

    # What happened.

    def starting(self) -> None:
        """A worker is being started. An actor that is held stays so until it is ready."""
        self._due_s = math.inf
        if self.state != "held":
            self.state = "starting"

    def ready(self) -> None:
        """The worker is ready."""
        if self.state != "stopped":
            self.state = "ready"

    def ended(self, incarnation: int, ended: Exit, in_hand: str, lines: Sequence[str]) -> Decision:
        """A worker has ended: record it, and return what follows by the policy."""
        now_s = trio.current_time()
        decision, self._history = decide(self._policy, ended, self._history, now_s, self._chance())
        at_us = time.time_ns() // 1000
        then = _STOPPED if self.state == "stopped" else str(decision)
        self.exits.append(ExitRecord(at_us, incarnation, ended, in_hand, lines, then))
        self.exit_counts[ended.how.label] += 1
        self._report(incarnation, ended, decision)
        if self.state == "stopped":
            return decision
        match decision:
            case Restart(delay_s):
                self._wait("held" if self._history.held else "waiting", delay_s)
            case Hold(probe_s):
                self._wait("held", probe_s)
            case Leave():
                self._wait("ended", math.inf)
        return decision

    def recovering(self) -> None:
        """The journal has failed; no worker is wanted before it is recovered."""
        if not self.resting:
            self.state = "recovering"

    def recovered(self) -> None:
        """The journal works again."""
        if self.state == "recovering":
            self._wait("waiting", 0.0)

    # What is wanted.

    def change(self, policy: RestartPolicy) -> None:
        """Decide by another policy from now on."""
        self._policy = policy

    def try_now(self) -> None:
        """Let the next worker be due at once, unless the operator has stopped the actor or one runs."""
        if self.state in ("waiting", "held", "ended"):
            self._due_s = -math.inf
        self.wake()

    def reset(self) -> None:
        """Forget all deaths; an actor that waits, is held or has ended starts afresh."""
        self._history = History()
        if self.state in ("held", "ended"):
            self.state = "waiting"
        self.try_now()

    def pause(self) -> None:
        """Want no worker until resume."""
        self.state, self._due_s = "stopped", math.inf

    def resume(self) -> None:
        """Want a worker again, with nothing held against the actor."""
        if self.state == "stopped":
            self.state = "waiting"
            self.reset()

    def due(self) -> bool:
        """Say whether a worker is to be started now."""
        return self.state != "stopped" and trio.current_time() >= self._due_s

    async def wait(self) -> None:
        """Wait until a worker may be due, or something else has changed."""
        with trio.move_on_at(self._due_s):
            await self._bell.wait()

    def wake(self) -> None:
        """Let the waiter look again."""
        self._bell.ring()

    def _report(self, incarnation: int, ended: Exit, decision: Decision) -> None:
        log = self._event_log.bind(
            incarnation=incarnation, pid=ended.pid, exit=ended.how.label, reason=str(ended.how)
        )
        if isinstance(ended.how, Stopped) or self.state == "stopped":
            log.info("worker_stopped")
            return
        if isinstance(ended.how, SandboxViolated):
            log.critical("sandbox_violated")
        match decision:
            case Restart(delay_s):
                log.warning("worker_ended", next_try_s=round(delay_s, 3))
            case Hold(probe_s):
                log.error("actor_held", next_try_s=None if math.isinf(probe_s) else probe_s)
            case Leave():
                log.warning("actor_ended")

    def _wait(self, state: ActorState, delay_s: float) -> None:
        self.state, self._due_s = state, trio.current_time() + delay_s
