"""How a worker can end: one class for each way, and the record that is kept of it.

Pure. Which of them leads to a restart is restart.py's matter; incarnation.py finds out which one it was.
"""

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

LINES_KEPT: Final = 20
EXITS_KEPT: Final = 5


@dataclass(frozen=True, slots=True)
class Exited:
    """It ended by itself, with this status."""

    label: ClassVar = "exited"
    status: int

    def __str__(self) -> str:
        return f"exited {self.status}"


@dataclass(frozen=True, slots=True)
class Signalled:
    """A signal that the supervisor did not send ended it."""

    label: ClassVar = "signalled"
    signum: int

    def __str__(self) -> str:
        return f"killed by {signal_name(self.signum)}"


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """The kernel killed it to get memory back, as far as its counters tell.

    `limit_bytes` is that of its control group, None when it had none.
    """

    label: ClassVar = "out_of_memory"
    limit_bytes: int | None = None

    def __str__(self) -> str:
        words = "killed by the kernel: out of memory"
        if self.limit_bytes is None:
            return words
        return f"{words}, of which its control group may have {self.limit_bytes >> 20} MiB"


@dataclass(frozen=True, slots=True)
class MemoryExceeded:
    """The process grew over `rss_mib` and was replaced."""

    label: ClassVar = "memory_exceeded"
    used_bytes: int
    limit_bytes: int

    def __str__(self) -> str:
        return f"memory: {self.used_bytes >> 20} MiB in use, {self.limit_bytes >> 20} MiB allowed"


@dataclass(frozen=True, slots=True)
class SandboxViolated:
    """It made a system call that its sandbox forbids: native code of an attacker may have run in it."""

    label: ClassVar = "sandbox_violated"

    def __str__(self) -> str:
        return "killed by SIGSYS: it tried to leave its sandbox"


@dataclass(frozen=True, slots=True)
class ProtocolBroken:
    """It sent what the protocol does not allow, and was killed."""

    label: ClassVar = "protocol_broken"
    what: str

    def __str__(self) -> str:
        return f"broke the protocol: {self.what}"


@dataclass(frozen=True, slots=True)
class StartTimeout:
    """It was not ready in time, and was killed."""

    label: ClassVar = "start_timeout"
    timeout_s: float

    def __str__(self) -> str:
        return f"not ready within {self.timeout_s:g} s"


@dataclass(frozen=True, slots=True)
class Hung:
    """It did not answer a delivery in time, and was killed."""

    label: ClassVar = "hung"
    timeout_s: float

    def __str__(self) -> str:
        return f"no answer to a delivery for {self.timeout_s:g} s"


@dataclass(frozen=True, slots=True)
class InitFailed:
    """The actor's `init` did not succeed, so there is nothing to give its events to."""

    label: ClassVar = "init_failed"
    detail: str

    def __str__(self) -> str:
        return f"init failed: {self.detail}"


@dataclass(frozen=True, slots=True)
class SupervisorFault:
    """An error in the supervisor itself, while it dealt with this worker."""

    label: ClassVar = "supervisor_fault"
    what: str

    def __str__(self) -> str:
        return f"internal error: {self.what}"


@dataclass(frozen=True, slots=True)
class CannotStart:
    """The host could not start a process."""

    label: ClassVar = "cannot_start"
    why: str

    def __str__(self) -> str:
        return f"cannot start a worker: {self.why}"


@dataclass(frozen=True, slots=True)
class ResultsNotStored:
    """The journal did not take its results; it was killed, and what it had in hand comes again."""

    label: ClassVar = "results_not_stored"
    failure: Exception

    def __str__(self) -> str:
        return f"its results could not be stored: {self.failure}"


@dataclass(frozen=True, slots=True)
class Stopped:
    """It was told to stop: at shutdown, or by the operator. `forced` when it did not do so in time."""

    label: ClassVar = "stopped"
    forced: bool = False

    def __str__(self) -> str:
        return "stopped by force" if self.forced else "stopped"


ExitClass = (
    Exited
    | Signalled
    | OutOfMemory
    | MemoryExceeded
    | SandboxViolated
    | ProtocolBroken
    | StartTimeout
    | Hung
    | InitFailed
    | SupervisorFault
    | CannotStart
    | ResultsNotStored
    | Stopped
)


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of one worker.

    `lived_s` is its life from spawn, `ready_s` how long of that it was ready: None when it never was. `blame`
    says that the oldest delivery it had in hand may be the cause.
    """

    how: ExitClass
    pid: int | None = None
    lived_s: float = 0.0
    ready_s: float | None = None
    blame: bool = False

    def __str__(self) -> str:
        return str(self.how)


@dataclass(frozen=True, slots=True)
class ExitRecord:
    """What is remembered of a worker's end, for explaining it.

    `at_us` is Unix time; `in_hand` says which deliveries it had (kinds and ids, no payloads), "" for none;
    `lines` are its last log lines, `then` what was decided.
    """

    at_us: int
    incarnation: int
    exit: Exit
    in_hand: str
    lines: Sequence[str]
    then: str


def describe_exit(returncode: int | None, lived_s: float) -> str:
    """Say in words how a process ended, such as `exited SIGKILL after 3.2 s`."""
    match returncode:
        case None:
            return f"still there after {lived_s:.1f} s"
        case status if status >= 0:
            return f"exited {status} after {lived_s:.1f} s"
        case negated:
            return f"exited {signal_name(-negated)} after {lived_s:.1f} s"


def signal_name(signum: int) -> str:
    """Return a signal's name, or its number where it has none."""
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"
