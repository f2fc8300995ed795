"""The tables of a journal and how its file is opened and recognised.

One row of `chain` is one transition; everything else is derived from the chain and checked against it. In
place of a large body the row has its place, see bodies.py.
"""

import os
from pathlib import Path
from typing import Final, Literal

import apsw

from theater_supervisor.journal.bodies import Bodies
from theater_supervisor.journal.errors import JournalRefused

Durability = Literal["power-loss", "process-crash"]

APPLICATION_ID: Final = 0x54687472  # "Thtr"
# What a journal needs of a release that reads it; each begins as the first of them.
PLAIN_VERSION: Final = 1
BODIES_VERSION: Final = 2  # from the first large body on
KINDS_VERSION: Final = 3  # from the first transition of kind seal or state on; no checkpoint without its seal
SCHEMA_VERSIONS: Final = (PLAIN_VERSION, BODIES_VERSION, KINDS_VERSION)
BUSY_TIMEOUT_MS: Final = 5000
# Of new journals. An event of 2 MiB takes 5.8 ms of CPU to commit, 10.5 with SQLite's own 4 KiB, because
# there are two writes for each page; a small one as long. With 16 KiB it would be 4.4 ms, but 20 µs more.
PAGE_BYTES: Final = 8 * 1024
MAX_LOG_BYTES: Final = 64 * 1024 * 1024  # what a write-ahead log that grew behind a slow reader shrinks to

TABLES: Final = """
CREATE TABLE chain (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL, body BLOB NOT NULL) STRICT;
CREATE TABLE head (
    only INTEGER PRIMARY KEY CHECK (only = 0),
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    last_connection INTEGER NOT NULL,
    initialised INTEGER NOT NULL
) STRICT;
CREATE TABLE state (only INTEGER PRIMARY KEY CHECK (only = 0), bytes BLOB) STRICT;
CREATE TABLE connection (id INTEGER PRIMARY KEY) STRICT;
CREATE TABLE checkpoint (
    only INTEGER PRIMARY KEY CHECK (only = 0), seal BLOB NOT NULL, body BLOB NOT NULL
) STRICT;
CREATE TABLE snapshot (seq INTEGER PRIMARY KEY, state BLOB) STRICT;
CREATE TABLE quarantine (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL, body BLOB NOT NULL) STRICT;
"""


def connect(path: Path, vfs: str | None, *, create: bool) -> apsw.Connection:
    """Open the file for writing; nothing is written to it yet. Every commit syncs. Raises apsw.Error.

    It waits for locks of other processes, until `sync_at_checkpoints`.
    """
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
    connection = apsw.Connection(os.fspath(path), flags=flags, vfs=vfs)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.pragma("page_size", PAGE_BYTES)
    connection.pragma("synchronous", "FULL")
    connection.pragma("journal_size_limit", MAX_LOG_BYTES)
    return connection


def sync_at_checkpoints(connection: apsw.Connection) -> None:
    """Sync only what keeps the file whole: for the rest of durability the caller cares. Raises apsw.Error.

    Nor is another process's lock waited for any more: that is the caller's decision, too.

    In WAL mode NORMAL leaves out one sync that FULL makes: that of the log at the end of a commit (wal.c,
    sqlite3WalFrames). Still synced are the log's first page when it begins anew, the log before it is copied
    into the database, and the database after that. So a power loss may take the last commits, never a part of
    one, and none that a sync of the log came after; the death of a process takes none.
    """
    connection.pragma("synchronous", "NORMAL")
    connection.set_busy_timeout(0)


def is_new(connection: apsw.Connection, path: Path) -> bool:
    """Say whether the file holds nothing yet; False for a journal of this schema.

    Raises JournalRefused for anything else, apsw.Error when it cannot be read.
    """
    application_id = connection.pragma("application_id")
    version = connection.pragma("user_version")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
    if (application_id, version, tables) == (0, 0, 0):
        return True
    if application_id != APPLICATION_ID:
        raise JournalRefused(
            f"{path}: a database, but not a journal; it was left as it is: move it away or name another --var"
        )
    if version not in SCHEMA_VERSIONS:
        raise JournalRefused(
            f"{path}: a journal of schema version {version}, this theater-supervise reads versions "
            f"{PLAIN_VERSION} to {KINDS_VERSION}; it was left as it is: run the release that wrote it, or "
            "move it away"
        )
    return False


def refuse_orphans(path: Path) -> None:
    """Raise JournalRefused for an empty file beside others that belong to what was in it.

    Opening it would delete a write-ahead log; large bodies would in time be deleted as dropped ones.
    """
    if path.exists() and path.stat().st_size:
        return
    log = path.with_name(path.name + "-wal")
    orphans = [log] if log.exists() and log.stat().st_size else []
    _refuse_beside(path, orphans)


def refuse_bodies(path: Path) -> None:
    """Raise JournalRefused for a file without any transition beside large bodies of some.

    So it is when a live journal was copied without its write-ahead log.
    """
    _refuse_beside(path, [])


def _refuse_beside(path: Path, orphans: list[Path]) -> None:
    bodies = Bodies(path)
    orphans += map(bodies.path, bodies.files())
    if orphans:
        names = ", ".join(orphan.name for orphan in orphans)
        raise JournalRefused(
            f"{path}: missing or empty, but {names} holds transitions; nothing was changed: "
            f"restore all files from one backup, {path.name}-wal too if it has one, or move all away"
        )


def make_directory(directory: Path) -> None:
    """Create the directory and its parents, each on disk when this returns. Raises OSError."""
    missing = [ancestor for ancestor in (directory, *directory.parents) if not ancestor.exists()]
    for ancestor in reversed(missing):
        ancestor.mkdir(mode=0o700, exist_ok=True)
        parent = os.open(ancestor.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)
