"""The restart policy against a model that keeps everything and looks back, where the policy keeps little."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from theater_supervisor.actor.restart import Decision, History, Hold, Leave, Restart, decide
from theater_supervisor.manifest.tables import RestartPolicy
from theater_supervisor.process.exit import (
    CannotStart,
    Exit,
    Exited,
    Hung,
    InitFailed,
    OutOfMemory,
    ProtocolBroken,
    Signalled,
    StartTimeout,
    Stopped,
    SupervisorFault,
)

WAYS = [
    Exited(0),
    Exited(70),
    Signalled(9),
    OutOfMemory(),
    ProtocolBroken("x"),
    StartTimeout(10.0),
    Hung(7.0),
    InitFailed("x"),
    SupervisorFault("x"),
    CannotStart("x"),
    Stopped(),
]
SECONDS = st.integers(0, 2000).map(float)
POLICIES = st.builds(
    RestartPolicy,
    policy=st.sampled_from(["permanent", "transient", "temporary"]),
    backoff_initial_s=SECONDS,
    backoff_factor=st.sampled_from([1.0, 2.0, 100.0]),
    backoff_max_s=SECONDS,
    backoff_jitter=st.sampled_from([0.0, 0.2, 1.0]),
    stable_after_s=st.sampled_from([0.0, 60.0]),
    intensity=st.integers(0, 5),
    period_s=st.sampled_from([1.0, 600.0]),
)


@dataclass(frozen=True)
class Step:
    """A worker that ends `after_s` the one before, after `ready_s` of being ready."""

    exit: Exit
    after_s: float
    chance: float


STEPS = st.builds(
    Step,
    st.builds(Exit, st.sampled_from(WAYS), ready_s=st.none() | st.sampled_from([0.0, 59.9, 60.0, 1e4])),
    st.sampled_from([0.0, 0.5, 1.0, 60.0, 599.0, 600.0, 601.0]),
    st.sampled_from([0.0, 0.5, 0.999]),
)


@dataclass
class Model:
    """Remembers every exit with its time and what was decided, and decides by looking back."""

    policy: RestartPolicy
    past: list[tuple[float, Exit, Decision]] = field(default_factory=list)

    def decide(self, now_s: float, ended: Exit, chance: float) -> Decision:
        """Decide, and remember."""
        decision = self._decision(now_s, ended, chance)
        self.past.append((now_s, ended, decision))
        return decision

    def _decision(self, now_s: float, ended: Exit, chance: float) -> Decision:
        if ended.how == Stopped():
            return Restart(0.0)
        if isinstance(ended.how, CannotStart):
            # The streak ends at a worker that ran; the operator's doings are looked through.
            streak = 1
            for _, earlier, _ in reversed(self.past):
                if isinstance(earlier.how, CannotStart):
                    streak += 1
                elif earlier.how != Stopped():
                    break
            return self._after(streak, chance)
        if self.policy.policy == "temporary" or (
            self.policy.policy == "transient" and ended.how == Exited(0)
        ):
            return Leave()
        lives = self._lives_since_amnesty()
        held = bool(lives) and isinstance(lives[-1][2], Hold)
        if held and self._stable(ended):
            lives, held = [], False
        recent = [at_s for at_s, _, _ in lives if at_s >= now_s - self.policy.period_s]
        if held or len(recent) + 1 > self.policy.intensity:
            return Hold(self.policy.held_probe_s)
        unstable = 0
        if not self._stable(ended):
            for _, earlier, _ in reversed(lives):
                unstable += 1
                if self._stable(earlier):
                    break
        return self._after(unstable, chance)

    def _lives_since_amnesty(self) -> list[tuple[float, Exit, Decision]]:
        """The counted deaths since the actor was last left, or came out of a hold by a stable run."""
        lives: list[tuple[float, Exit, Decision]] = []
        for life in self.past:
            _, ended, decision = life
            if isinstance(decision, Leave):
                lives = []
            elif not isinstance(ended.how, Stopped | CannotStart):
                if lives and isinstance(lives[-1][2], Hold) and self._stable(ended):
                    lives = []
                lives.append(life)
        return lives

    def _stable(self, ended: Exit) -> bool:
        return ended.ready_s is not None and ended.ready_s >= self.policy.stable_after_s

    def _after(self, failures: int, chance: float) -> Restart:
        delay_s = 0.0
        for number in range(failures):
            delay_s = delay_s * self.policy.backoff_factor if number else self.policy.backoff_initial_s
            delay_s = min(delay_s, self.policy.backoff_max_s)
        return Restart(delay_s * (1 - self.policy.backoff_jitter * chance))


@given(POLICIES, st.lists(STEPS, max_size=30))
def test_the_policy_decides_as_the_model(policy: RestartPolicy, steps: list[Step]) -> None:
    """Whatever happens in whatever order, both decide the same, and what is kept stays bounded."""
    model, history, now_s = Model(policy), History(), 1000.0
    for step in steps:
        now_s += step.after_s
        decision, history = decide(policy, step.exit, history, now_s, step.chance)
        assert decision == model.decide(now_s, step.exit, step.chance)
        assert len(history.deaths_s) <= policy.intensity


@given(POLICIES, st.lists(STEPS, max_size=30))
def test_what_the_operator_does_changes_nothing(policy: RestartPolicy, steps: list[Step]) -> None:
    """Stops and restarts strewn in leave every other decision as it was without them."""
    plain = [step for step in steps if step.exit.how != Stopped()]

    def decisions(course: list[Step]) -> list[Decision]:
        history, now_s, decided = History(), 1000.0, []
        for step in course:
            if step.exit.how != Stopped():
                now_s += step.after_s
            decision, history = decide(policy, step.exit, history, now_s, step.chance)
            if step.exit.how != Stopped():
                decided.append(decision)
        return decided

    assert decisions(steps) == decisions(plain)
