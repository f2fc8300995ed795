"""One actor's journal as plain blocking code: a file, its transactions, and the way back from failure.

Runs in whatever thread calls it, one call at a time; store.py is its async face. Knows no trio and no clock.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import apsw

from theater_protocol.ledger import Checkpoint
from theater_protocol.messages import Changed, Unchanged
from theater_supervisor.journal import schema
from theater_supervisor.journal.bodies import BodyFiles
from theater_supervisor.journal.contents import Contents, Entry, Origin, link
from theater_supervisor.journal.errors import (
    JournalFailed,
    JournalLocked,
    JournalRefused,
    failure,
    system_failure,
)
from theater_supervisor.journal.log_file import LogFile
from theater_supervisor.journal.retention import (
    KEEP_ALL,
    Retention,
    Step,
    find_step,
    head_checkpoint,
    seal_entry,
)
from theater_supervisor.journal.tables import (
    check_bodies,
    damaged,
    load,
    unsealed_checkpoint,
    write_batch,
    write_origin,
)


class Database:
    """A journal's open file and, in `contents`, what is in it.

    A commit is staged, written to SQLite's write-ahead log, and synced there if `durability` says so. SQLite
    itself syncs only when the log begins anew and around copying it into the database; so the sync that a
    commit waits for is ours, and need not hold up the caller.

    `clock_settled` says whether the time of an entry is one that history may be dropped by.
    `missing_bodies` says in words which files of large bodies were missing or too short when it was opened.
    After a JournalFailed only `recover` and `close` may be called; `contents` stays what was acknowledged.
    """

    contents: Contents

    def __init__(
        self,
        path: Path,
        durability: schema.Durability = "power-loss",
        retention: Retention = KEEP_ALL,
        vfs: str | None = None,
        log_file: Callable[[Path], LogFile] = LogFile,
        bodies: Callable[[Path], BodyFiles] = BodyFiles,
        clock_settled: Callable[[], bool] = lambda: True,
    ) -> None:
        self.path = path
        self._clock_settled = clock_settled
        self.log = log_file(path)
        self._bodies = bodies(path)
        self._durability = durability
        self._retention = retention
        self._vfs = vfs
        self._actor = ""
        self._connection: apsw.Connection | None = None
        self._failed = False
        self._unsealed: Checkpoint | None = None
        self.missing_bodies: list[str] = []
        self._opened = 0, 0

    def open(self, origin: Origin) -> None:
        """Open the journal of `origin.actor`, or begin it when there is no file yet.

        Raises JournalRefused, leaving the file as it is, and JournalFailed.
        """
        self._actor = origin.actor
        schema.refuse_orphans(self.path)
        try:
            schema.make_directory(self.path.parent)
        except OSError as exc:
            raise JournalFailed(f"{exc.strerror} creating {self.path.parent}") from exc
        try:
            connection = self._connect(create=True)
            if schema.is_new(connection, self.path):
                schema.refuse_bodies(self.path)
                connection.pragma("journal_mode", "wal")
                connection.execute("BEGIN IMMEDIATE")
                write_origin(connection, origin)
                connection.execute("COMMIT")
            self._load(connection)
            self.missing_bodies = check_bodies(
                connection,
                self.path,
                self.contents.head.seq,
                self._bodies,
                may_be_behind=self._durability == "process-crash",
            )
            connection.pragma("journal_mode", "wal")  # a backup made by VACUUM INTO comes without a log
            schema.sync_at_checkpoints(connection)
        except (apsw.CorruptError, apsw.NotADBError) as exc:
            self.close()
            raise damaged(self.path, str(exc)) from exc
        except apsw.Error as exc:
            failed = self._failure(exc, "opening")
            self.close()
            raise failed from exc
        except OSError as exc:
            self.close()
            raise system_failure(exc, "reading a large body of", self.path) from exc
        except JournalRefused:
            self.close()
            raise

    def commit(self, entries: Sequence[Entry], update: Changed | Unchanged) -> None:
        """Add `entries` and the state after the last of them, durably, in one transaction.

        Raises LocalProtocolError for entries that cannot follow the chain (nothing is written then), and
        JournalFailed.
        """
        if entries:
            self.finish(self.stage(entries, update, patient=True))

    def stage(
        self, entries: Sequence[Entry], update: Changed | Unchanged, *, patient: bool = False
    ) -> Contents:
        """Begin a transaction and put the batch into it; return the contents to `finish` it with.

        Waits for the disk only where a page is to be read, and `patient` for another process's lock, for at
        most BUSY_TIMEOUT_MS; else it raises JournalLocked. Raises what `commit` does.
        """
        connection = self._usable()
        before = self.contents
        try:
            step = self._due_step(connection, before, entries)
        except apsw.BusyError as exc:
            raise JournalLocked from exc
        except (apsw.Error, OSError) as exc:
            raise self._abandon(exc, "reading") from exc
        entries = [*self._due_seals(before, entries[0].at_us, step), *entries]
        after, rows = link(before, entries, update)
        try:
            _begin(connection, patient=patient)
            write_batch(connection, before, after, entries, rows, update, self._bodies)
            if step is None:
                return after
            step.take(connection, self._bodies)
            return replace(after, oldest_seq=step.oldest_seq, oldest_at_us=step.oldest_at_us)
        except (apsw.Error, OSError) as exc:
            raise self._abandon(exc, "writing") from exc

    def finish(self, after: Contents, *, awake: bool = False) -> None:
        """Write what was staged, sync it, `awake` or not, and acknowledge it. Raises JournalFailed."""
        self.write()
        self.sync(awake=awake)
        self.acknowledge(after)

    def sync(self, *, awake: bool = False) -> None:
        """Sync what was written, `awake` or not, if `durability` says so. Raises JournalFailed."""
        if self._syncs_commits:
            try:
                self.log.sync(awake=awake)
            except OSError as exc:
                raise self.sync_failed(exc) from exc

    def can_sync_meanwhile(self) -> bool:
        """Say whether `log.sync_meanwhile` is to come, and can, between `write` and `acknowledge`."""
        return self._syncs_commits and self.log.can_sync_meanwhile()

    @property
    def _syncs_commits(self) -> bool:
        return self._durability == "power-loss"

    def write(self) -> None:
        """Put what was staged into the log, in one piece, its large bodies first. Raises JournalFailed.

        These are synced whatever the durability: else a power loss could leave a row without its body.
        """
        connection = self._usable()
        try:
            self._bodies.write()
            connection.execute("COMMIT")
        except (apsw.Error, OSError) as exc:
            raise self._abandon(exc, "writing") from exc

    def acknowledge(self, after: Contents) -> None:
        """Take note that what was written is as durable as it has to be."""
        self.contents = after
        if after.newest_seal is not None:
            self._unsealed = None
        self._bodies.sweep(_nothing if self._syncs_commits else self.log.sync)

    def sync_failed(self, error: OSError) -> JournalFailed:
        """Take note that it is not; return what to raise."""
        self._failed = True
        return system_failure(error, "syncing", self.log.path)

    def _usable(self) -> apsw.Connection:
        if self._connection is None or self._failed:
            raise JournalFailed(f"the journal {self.path} has not recovered from its last failure")
        return self._connection

    def recover(self) -> None:
        """Read again what is there, on a fresh connection, as after a crash.

        A batch that was written, but whose sync failed, is in the log and may have been read: it stays. The
        log is made durable first, for nothing behind a gap in it would count. Raises JournalFailed while the
        cause persists.
        """
        self._failed = True
        self.close()
        try:
            self.log.rewrite()
            connection = self._connect(create=False)
            _try_out(connection)
            self._load(connection)
            schema.sync_at_checkpoints(connection)
        except OSError as exc:
            raise system_failure(exc, "rewriting", self.log.path) from exc
        except apsw.Error as exc:
            raise self._abandon(exc, "reopening") from exc
        except JournalRefused as exc:
            self.close()
            raise JournalFailed(str(exc)) from exc
        self._failed = False

    def displaced(self) -> str:
        """Say in words that the open file is not the one at `path` any more, "" when it is."""
        try:
            status = self.path.stat()
        except OSError:
            advice = "put it back from a backup, or restart the supervisor to begin anew"
            return f"{self.path} was removed while it was open: {advice}"
        is_same = (status.st_dev, status.st_ino) == self._opened
        return "" if is_same else f"{self.path} was replaced while it was open"

    def change(self, durability: schema.Durability, retention: Retention) -> None:
        """Commit and retain like this from now on."""
        self._durability, self._retention = durability, retention

    def close(self) -> None:
        """Close the file. Never raises: what was acknowledged is in the file or its log already."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(apsw.Error):
                # What is in the log of a failed journal has not been checked.
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, self._failed)
                connection.close()
        self.log.close()
        self._bodies.close()

    def _load(self, connection: apsw.Connection) -> None:
        status = self.path.stat()
        self._opened = status.st_dev, status.st_ino
        self.contents = load(connection, self.path, self._actor, self._bodies)
        self._unsealed = unsealed_checkpoint(connection)

    def _connect(self, *, create: bool) -> apsw.Connection:
        self._connection = schema.connect(self.path, self._vfs, create=create)
        return self._connection

    def _due_step(
        self, connection: apsw.Connection, before: Contents, entries: Sequence[Entry]
    ) -> Step | None:
        """Return what is to be dropped with these entries, None when nothing is due."""
        newest_seq, now_us = before.head.seq + len(entries), entries[-1].at_us
        if self._retention.keep_days is not None and not self._clock_settled():
            now_us = 0  # nothing is old
        if not self._retention.is_due(before.oldest_seq, before.oldest_at_us, newest_seq, now_us):
            return None
        return find_step(connection, self._retention, newest_seq, now_us, self._bodies)

    def _due_seals(self, before: Contents, at_us: int, step: Step | None) -> Iterator[Entry]:
        """Yield the seals to begin a batch with: of what is dropped later, and of what is dropped already."""
        state_hash = before.ledger.state_hash
        if self._retention.is_seal_due(before, at_us):
            yield seal_entry(head_checkpoint(before), at_us, state_hash)
        bare = self._unsealed
        if step is not None and step.checkpoint is not None:
            bare = None if step.in_chain else step.checkpoint
        if bare is not None:
            yield seal_entry(bare, at_us, state_hash)

    def _abandon(self, error: apsw.Error | OSError, doing: str) -> JournalFailed:
        self._failed = True
        failed = self._failure(error, doing)
        with suppress(apsw.Error):  # most failures have rolled back already
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        return failed

    def _failure(self, error: apsw.Error | OSError, doing: str) -> JournalFailed:
        if isinstance(error, OSError):
            return system_failure(error, doing, self._bodies.newest)
        has_errno = self._connection is not None and isinstance(error, apsw.IOError | apsw.CantOpenError)
        errno = self._connection.system_errno if has_errno and self._connection is not None else 0
        return failure(error, doing, self.path, errno)


def _begin(connection: apsw.Connection, *, patient: bool) -> None:
    """Take the write lock. Raises JournalLocked when another process has it and there is no patience."""
    if patient:
        connection.set_busy_timeout(schema.BUSY_TIMEOUT_MS)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except apsw.BusyError as exc:
        if patient:
            raise
        raise JournalLocked from exc
    finally:
        if patient:
            connection.set_busy_timeout(0)


def _try_out(connection: apsw.Connection) -> None:
    """Commit something harmless."""
    connection.execute("BEGIN IMMEDIATE")
    connection.pragma("user_version", connection.pragma("user_version"))
    connection.execute("COMMIT")


def _nothing() -> None:
    """Sync what is synced."""
