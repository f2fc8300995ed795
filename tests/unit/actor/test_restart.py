"""The restart policy: what follows each way to end, for each restart type, before and past the intensity."""

import math
import signal
from typing import Literal

import pytest

from theater_supervisor.actor.restart import History, Hold, Leave, Restart, backoff_s, decide
from theater_supervisor.journal.store import JournalFailed
from theater_supervisor.manifest.tables import RestartPolicy
from theater_supervisor.process.exit import (
    CannotStart,
    Exit,
    ExitClass,
    Exited,
    Hung,
    InitFailed,
    MemoryExceeded,
    OutOfMemory,
    ProtocolBroken,
    ResultsNotStored,
    SandboxViolated,
    Signalled,
    StartTimeout,
    Stopped,
    SupervisorFault,
)

Type = Literal["permanent", "transient", "temporary"]

AT_ONCE = Restart(0.0)
FIRST_DELAY = Restart(0.25)
HOLD = Hold(300.0)
LEAVE = Leave()

# For each way to end: what follows the first death, and the death past the intensity, by restart type.
ABNORMAL = {"permanent": (AT_ONCE, HOLD), "transient": (AT_ONCE, HOLD), "temporary": (LEAVE, LEAVE)}
NORMAL = {"permanent": (AT_ONCE, HOLD), "transient": (LEAVE, LEAVE), "temporary": (LEAVE, LEAVE)}
OPERATOR = dict.fromkeys(ABNORMAL, (AT_ONCE, AT_ONCE))
HOST = dict.fromkeys(ABNORMAL, (FIRST_DELAY, FIRST_DELAY))
ATTACK = dict.fromkeys(ABNORMAL, (Hold(math.inf), Hold(math.inf)))
MATRIX = {
    Exited(0): NORMAL,
    Exited(65): ABNORMAL,
    Signalled(signal.SIGSEGV): ABNORMAL,
    OutOfMemory(): ABNORMAL,
    MemoryExceeded(2 << 20, 1 << 20): ABNORMAL,
    SandboxViolated(): ATTACK,
    ProtocolBroken("nonsense"): ABNORMAL,
    StartTimeout(10.0): ABNORMAL,
    Hung(7.0): ABNORMAL,
    InitFailed("no"): ABNORMAL,
    SupervisorFault("oh"): ABNORMAL,
    CannotStart("EAGAIN"): HOST,
    ResultsNotStored(JournalFailed("disk full")): HOST,
    Stopped(): OPERATOR,
    Stopped(forced=True): OPERATOR,
}
EXHAUSTED = History(deaths_s=tuple(float(second) for second in range(90, 100)), unstable=10)


@pytest.mark.parametrize("type_", ["permanent", "transient", "temporary"])
@pytest.mark.parametrize("how", MATRIX, ids=lambda how: how.label)
def test_what_follows_an_exit(how: ExitClass, type_: Type) -> None:
    """One expectation for each restart type and way to end, with a clean record and with a spent one."""
    policy = RestartPolicy(policy=type_)
    first, past_intensity = MATRIX[how][type_]
    assert decide(policy, Exit(how), History(), 100.0, 0.0)[0] == first
    assert decide(policy, Exit(how), EXHAUSTED, 100.0, 0.0)[0] == past_intensity


def dies(policy: RestartPolicy, times_s: list[float], ready_s: float | None = 1.0) -> list[object]:
    """What is decided at deaths at these times."""
    history, decisions = History(), []
    for now_s in times_s:
        decision, history = decide(policy, Exit(Exited(1), ready_s=ready_s), history, now_s, 0.0)
        decisions.append(decision)
    return decisions


def test_delays_double_up_to_the_longest() -> None:
    """At once, 0.25 s, 0.5 s, … and never more than backoff_max_s."""
    policy = RestartPolicy(intensity=100)
    expected = [0, 0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]
    assert dies(policy, [float(n) for n in range(10)]) == [Restart(delay_s) for delay_s in expected]


def test_a_stable_run_starts_the_delays_afresh() -> None:
    """The death after it is followed at once; a run that was never ready is not stable."""
    policy = RestartPolicy(intensity=100)
    tired = History(deaths_s=(1.0,), unstable=5)
    assert decide(policy, Exit(Exited(1), ready_s=60.0), tired, 99.0, 0.0)[0] == AT_ONCE
    assert decide(policy, Exit(Exited(1), ready_s=59.9), tired, 99.0, 0.0)[0] == Restart(4.0)
    assert decide(policy, Exit(Exited(1), ready_s=None), tired, 99.0, 0.0)[0] == Restart(4.0)
    assert decide(RestartPolicy(stable_after_s=0), Exit(Exited(1)), tired, 99.0, 0.0)[0] == Restart(4.0)


@pytest.mark.parametrize("intensity", [0, 1, 3])
def test_more_deaths_than_the_intensity_within_the_period_hold(intensity: int) -> None:
    """Exactly `intensity` restarts are given, as OTP counts; one death older than the period is forgotten."""
    policy = RestartPolicy(intensity=intensity, period_s=10)
    within = [100.0 + n for n in range(intensity)]
    assert HOLD not in dies(policy, within)
    assert dies(policy, [*within, 110.0])[-1] == HOLD
    if intensity:
        assert isinstance(dies(policy, [*within, 110.1])[-1], Restart)


def test_a_held_actor_is_probed_until_a_run_is_stable() -> None:
    """A probe that dies is followed by the next probe, long after the period too; a stable one clears it."""
    policy = RestartPolicy()
    _, held = decide(policy, Exit(Exited(1)), EXHAUSTED, 100.0, 0.0)
    decision, still_held = decide(policy, Exit(Exited(1), ready_s=59.0), held, 10_000.0, 0.0)
    assert (decision, still_held.held) == (HOLD, True)
    decision, free = decide(policy, Exit(Exited(1), ready_s=60.0), still_held, 20_000.0, 0.0)
    assert (decision, free) == (AT_ONCE, History(deaths_s=(20_000.0,), unstable=1))


def test_the_host_has_delays_of_its_own() -> None:
    """They grow, are never none, count for nothing, and end no hold."""
    policy, history = RestartPolicy(), History(held=True)
    delays = []
    for _ in range(4):
        decision, history = decide(policy, Exit(CannotStart("EAGAIN")), history, 0.0, 0.0)
        delays.append(decision)
    assert delays == [Restart(0.25), Restart(0.5), Restart(1.0), Restart(2.0)]
    assert history == History(unstarted=4, held=True)


def test_jitter_only_shortens() -> None:
    """A delay lies between the full one and the one shortened by the whole share."""
    policy, history = RestartPolicy(backoff_jitter=0.2), History(unstable=20)
    delays = [decide(policy, Exit(Exited(1)), history, 0.0, chance)[0] for chance in (0.0, 0.5, 1.0)]
    assert delays == [Restart(30.0), Restart(27.0), Restart(24.0)]


def test_delays_do_not_overflow() -> None:
    """A thousand failures in a row give the longest delay."""
    assert backoff_s(10_000, initial_s=3600.0, factor=100.0, max_s=30.0) == 30.0
