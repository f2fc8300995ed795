"""What can go wrong with a journal, and the words for it.

Two classes, by what is to be done: a refused journal needs an operator, a failed one may mend itself.
"""

import errno
import os
from pathlib import Path
from typing import Final

import apsw

from theater_supervisor.errors import JournalFailed as JournalFailed
from theater_supervisor.errors import SupervisorError


class JournalRefused(SupervisorError):
    """A file that is not this actor's journal, or is damaged. It is left as it is."""

    exit_status = 65  # EX_DATAERR


class JournalLocked(Exception):
    """Another process holds the journal's write lock: nothing was begun, and patience may help."""


_CAUSES: Final[tuple[tuple[type[apsw.Error], str], ...]] = (
    (apsw.FullError, "disk full"),
    (apsw.ReadOnlyError, "read-only"),
    (apsw.CantOpenError, "cannot be opened"),
    (apsw.CorruptError, "damaged"),
    (apsw.NotADBError, "damaged"),
    (apsw.BusyError, "locked by another process"),
    (apsw.PermissionsError, "not permitted"),
    (apsw.NoMemError, "out of memory"),
    (apsw.IOError, "I/O error"),
)


# A sync that finds no space is an I/O error to SQLite; the system's number says more.
_SYSTEM_CAUSES: Final = {
    errno.ENOSPC: "disk full",
    errno.EDQUOT: "disk quota exceeded",
    errno.EROFS: "read-only",
}


def failure(error: apsw.Error, doing: str, path: Path, errno_of_system: int = 0) -> JournalFailed:
    """Say in words what failed, e.g. `disk full (SQLITE_FULL) writing data/chat/journal.db`.

    `errno_of_system` is the number beneath SQLite's, 0 when there is none.
    """
    by_class = next((words for kind, words in _CAUSES if isinstance(error, kind)), "database error")
    cause = _SYSTEM_CAUSES.get(errno_of_system, by_class)
    code = _code(error)
    system = f": {os.strerror(errno_of_system)}" if errno_of_system else ""
    detail = f": {error}" if cause == "database error" else ""
    return JournalFailed(f"{cause} ({code}{system}) {doing} {path}{detail}")


def system_failure(error: OSError, doing: str, path: Path) -> JournalFailed:
    """Say in words what failed outside of SQLite, e.g. `disk full (ENOSPC: No space left on device) …`."""
    number = error.errno or 0
    cause = _SYSTEM_CAUSES.get(number, "I/O error")
    return JournalFailed(
        f"{cause} ({errno.errorcode.get(number, 'OSError')}: {error.strerror}) {doing} {path}"
    )


def _code(error: apsw.Error) -> str:
    extended: int = getattr(error, "extendedresult", 0)
    plain: int = getattr(error, "result", 0)
    name = apsw.mapping_extended_result_codes.get(extended) or apsw.mapping_result_codes.get(plain)
    return str(name) if name else type(error).__name__
