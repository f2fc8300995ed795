"""Errors that end the supervisor or a command, each with its exit status (sysexits.h).

Nothing here is raised for one connection or one actor; those failures stay where they happen. That of a
journal is here because commands end with it as well, and most of them need not know what a journal is.
"""

from dataclasses import dataclass
from pathlib import Path


class SupervisorError(Exception):
    """Something the operator must mend before the supervisor can run."""

    exit_status = 70  # EX_SOFTWARE


class VarUnusable(SupervisorError):
    """A file that the supervisor keeps cannot be made."""

    exit_status = 73  # EX_CANTCREAT

    @classmethod
    def of(cls, error: OSError, var: Path) -> "VarUnusable":
        """Say which file below `var` it was."""
        return cls(f"{error.filename or var}: {error.strerror}: make {var} writable or name another --var")


class SandboxMissing(SupervisorError):
    """This machine cannot lock workers in as safely as a manifest requires."""

    exit_status = 77  # EX_NOPERM


class CriticalActorHeld(SupervisorError):
    """An actor whose manifest calls it critical dies again and again."""

    exit_status = 80


class JournalFailed(Exception):
    """The journal could not be read or written; the message names the cause. Nothing was acknowledged."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a manifest: `file: key: what (hint)`."""

    file: str
    key: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}: {self.key}: " if self.key else f"{self.file}: "
        return where + self.what + (f" ({self.hint})" if self.hint else "")


class ManifestError(SupervisorError):
    """Every problem of every manifest, found before anything starts."""

    exit_status = 78  # EX_CONFIG

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
