"""The restart policy: what follows a worker's end, as a pure function of what happened before.

No trio, no clock, no chance of its own: the time and a random number are handed in, the caller waits and
spawns. The words and the window are those of OTP's supervisor (restart types, intensity, period).
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

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

Nature = Literal["normal", "abnormal", "host", "operator", "attack"]


@dataclass(frozen=True, slots=True)
class Restart:
    """Start the next worker after `delay_s`."""

    delay_s: float

    def __str__(self) -> str:
        return f"restart in {self.delay_s:.3g} s" if self.delay_s else "restart at once"


@dataclass(frozen=True, slots=True)
class Hold:
    """Turn clients away and try again after `probe_s`; infinite: when the operator says so."""

    probe_s: float

    def __str__(self) -> str:
        return "hold" if math.isinf(self.probe_s) else f"hold, and probe in {self.probe_s:g} s"


@dataclass(frozen=True, slots=True)
class Leave:
    """Turn clients away; there is no next worker unless the operator wants one."""

    def __str__(self) -> str:
        return "no restart"


Decision = Restart | Hold | Leave


@dataclass(frozen=True, slots=True)
class History:
    """What counts of an actor's past.

    `deaths_s` are the times of the counted deaths within the period, oldest first; `unstable` and `unstarted`
    how many workers in a row died before they were stable and could not be started; `held` that it has not
    had a stable run since it was held.
    """

    deaths_s: tuple[float, ...] = ()
    unstable: int = 0
    unstarted: int = 0
    held: bool = False


def decide(
    policy: RestartPolicy, ended: Exit, history: History, now_s: float, chance: float
) -> tuple[Decision, History]:
    """Return what follows a worker's end, and the history to decide the next one with.

    `now_s` is monotonic; `chance` in [0, 1) is where a delay lies between the full one and the one that
    backoff_jitter shortens most.
    """
    match nature(ended.how), policy.policy:
        case "operator", _:
            return Restart(0.0), history
        case "host", _:
            unstarted = history.unstarted + 1
            return Restart(_delay_s(policy, unstarted, chance)), replace(history, unstarted=unstarted)
        case "attack", _:
            # Whoever got that far once is given no second try before somebody has looked.
            return Hold(math.inf), History(held=True)
        case _, "temporary":
            return Leave(), History()
        case "normal", "transient":
            return Leave(), History()
        case _:
            return _after_death(policy, ended, history, now_s, chance)


def nature(how: ExitClass) -> Nature:
    """Say what an exit means to the policy: whose doing it was, and whether it is normal to end so."""
    match how:
        case Stopped():
            return "operator"
        case CannotStart() | ResultsNotStored():
            return "host"
        case Exited(status=0):
            return "normal"
        case Exited() | Signalled() | OutOfMemory() | ProtocolBroken() | StartTimeout() | Hung():
            return "abnormal"
        case MemoryExceeded():
            return "abnormal"
        case SandboxViolated():
            return "attack"
        case InitFailed() | SupervisorFault():
            return "abnormal"


def backoff_s(failures: int, initial_s: float, factor: float, max_s: float) -> float:
    """Return the delay after `failures` in a row: none at first, then growing by `factor` up to `max_s`."""
    return min(max_s, initial_s * factor ** min(failures - 1, 64)) if failures else 0.0


def _after_death(
    policy: RestartPolicy, ended: Exit, history: History, now_s: float, chance: float
) -> tuple[Decision, History]:
    stable = ended.ready_s is not None and ended.ready_s >= policy.stable_after_s
    if stable:
        history = History() if history.held else replace(history, unstable=0)
    deaths_s = (*(at_s for at_s in history.deaths_s if now_s - at_s <= policy.period_s), now_s)
    if history.held or len(deaths_s) > policy.intensity:
        return Hold(policy.held_probe_s), History(held=True)
    delay_s = _delay_s(policy, history.unstable, chance)
    return Restart(delay_s), History(deaths_s, history.unstable + 1)


def _delay_s(policy: RestartPolicy, failures: int, chance: float) -> float:
    full_s = backoff_s(failures, policy.backoff_initial_s, policy.backoff_factor, policy.backoff_max_s)
    return full_s * (1 - policy.backoff_jitter * chance)
