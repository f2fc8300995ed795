"""From what is known of a worker's end to how it ended. Pure: incarnation.py collects the evidence."""

import signal
from dataclasses import dataclass

from theater_supervisor.process.exit import (
    ExitClass,
    Exited,
    InitFailed,
    MemoryExceeded,
    OutOfMemory,
    ProtocolBroken,
    ResultsNotStored,
    SandboxViolated,
    Signalled,
    Stopped,
    describe_exit,
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a worker whose life is over.

    `verdict` is why the supervisor ended it, None when it went by itself; `returncode` is None when it could
    not be reaped. `signalled` says that the supervisor sent it a signal, `told_to_stop` that it sent Stop,
    `memory_killing` that the kernel killed for memory meanwhile: this worker, where it had a control group of
    `group_limit_bytes`, else some process. `over_memory`: it was told to stop for having grown too much.
    """

    verdict: ExitClass | None
    returncode: int | None
    signalled: bool = False
    told_to_stop: bool = False
    memory_killing: bool = False
    group_limit_bytes: int | None = None
    over_memory: MemoryExceeded | None = None

    def cause(self) -> ExitClass:
        """Return how it ended; what explains the rest comes first."""
        # A dead worker's pipe may end in the middle of a frame.
        if self.returncode == -signal.SIGSYS:
            return SandboxViolated()
        how = self.verdict or self._own_end()
        return self.over_memory if self.over_memory and isinstance(how, Stopped) else how

    def _own_end(self) -> ExitClass:
        if self.told_to_stop and (self.returncode == 0 or self.signalled):
            return Stopped(forced=self.signalled)
        if self.signalled or self.returncode is None:
            return ProtocolBroken("its pipe ended, but it did not")
        if self.returncode >= 0:
            return Exited(self.returncode)
        if self.returncode == -signal.SIGKILL and self.memory_killing:
            return OutOfMemory(self.group_limit_bytes)
        return Signalled(-self.returncode)


def is_blamable(how: ExitClass) -> bool:
    """Say whether a delivery that the worker had in hand can have been the cause."""
    return not isinstance(how, Stopped | InitFailed | ResultsNotStored)


def last_words(returncode: int | None, how: ExitClass, lived_s: float, *, was_ready: bool) -> str:
    """Say for the log how a worker ended, and why."""
    words = describe_exit(returncode, lived_s)
    if isinstance(how, Exited | Signalled | Stopped):
        return words if was_ready else f"{words}, before it was ready"
    return f"{words}: {how}"
