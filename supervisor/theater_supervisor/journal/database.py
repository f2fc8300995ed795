"""One actor's journal as plain blocking code: a file, its transactions, and the way back from failure.

Runs in whatever thread calls it, one call at a time; store.py is its async face. Knows no trio and no clock.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import apsw

from theater_protocol.messages import Changed, Unchanged
from theater_supervisor.journal import schema
from theater_supervisor.journal.contents import Contents, Entry, Origin, link
from theater_supervisor.journal.errors import JournalFailed, JournalRefused, failure
from theater_supervisor.journal.retention import KEEP_ALL, Retention, prune
from theater_supervisor.journal.tables import damaged, load, write_batch, write_origin


class Database:
    """A journal's open file and, in `contents`, what is in it.

    After a JournalFailed only `recover` and `close` may be called; `contents` stays what was acknowledged.
    """

    contents: Contents

    def __init__(
        self,
        path: Path,
        durability: schema.Durability = "power-loss",
        retention: Retention = KEEP_ALL,
        vfs: str | None = None,
    ) -> None:
        self.path = path
        self._durability = durability
        self._retention = retention
        self._vfs = vfs
        self._actor = ""
        self._connection: apsw.Connection | None = None
        self._failed = False

    def open(self, origin: Origin) -> None:
        """Open the journal of `origin.actor`, or begin it when there is no file yet.

        Raises JournalRefused, leaving the file as it is, and JournalFailed.
        """
        self._actor = origin.actor
        schema.refuse_orphaned_log(self.path)
        try:
            schema.make_directory(self.path.parent)
        except OSError as exc:
            raise JournalFailed(f"{exc.strerror} creating {self.path.parent}") from exc
        try:
            connection = self._connect(create=True)
            if schema.is_new(connection, self.path):
                connection.pragma("journal_mode", "wal")
                connection.execute("BEGIN IMMEDIATE")
                write_origin(connection, origin)
                connection.execute("COMMIT")
            self.contents = load(connection, self.path, self._actor)
            connection.pragma("journal_mode", "wal")  # a backup made by VACUUM INTO comes without a log
        except (apsw.CorruptError, apsw.NotADBError) as exc:
            self.close()
            raise damaged(self.path, str(exc)) from exc
        except apsw.Error as exc:
            failed = self._failure(exc, "opening")
            self.close()
            raise failed from exc
        except JournalRefused:
            self.close()
            raise

    def commit(self, entries: Sequence[Entry], update: Changed | Unchanged) -> None:
        """Add `entries` and the state after the last of them, durably, in one transaction.

        Raises LocalProtocolError for entries that cannot follow the chain (nothing is written then), and
        JournalFailed.
        """
        if entries:
            self.finish(self.stage(entries, update))

    def stage(self, entries: Sequence[Entry], update: Changed | Unchanged) -> Contents:
        """Begin a transaction and put the batch into it; return the contents to `finish` it with.

        Waits for the disk only where a page is to be read. Raises what `commit` does.
        """
        connection = self._usable()
        before = self.contents
        after, rows = link(before, entries, update)
        try:
            connection.execute("BEGIN IMMEDIATE")
            write_batch(connection, before, after, entries, rows, update)
            return self._keep(connection, after)
        except apsw.Error as exc:
            raise self._abandon(exc, "writing") from exc

    def finish(self, after: Contents) -> None:
        """Make what was staged durable: here is where the disk is waited for. Raises JournalFailed."""
        try:
            self._usable().execute("COMMIT")
        except apsw.Error as exc:
            raise self._abandon(exc, "writing") from exc
        self.contents = after

    def _usable(self) -> apsw.Connection:
        if self._connection is None or self._failed:
            raise JournalFailed(f"the journal {self.path} has not recovered from its last failure")
        return self._connection

    def recover(self) -> None:
        """Make what was acknowledged last the whole content again, on a fresh connection.

        A commit that failed while syncing may have left its frames in the write-ahead log. The open
        connection knows that they do not count and overwrites them; a fresh one would take them for
        committed. Raises JournalFailed while the cause persists.
        """
        self._failed = True
        with suppress(apsw.Error):  # a stale descriptor never heals, a fresh connection may
            if self._connection is not None:
                _settle(self._connection)
        self.close()
        try:
            connection = self._connect(create=False)
            _settle(connection)
            self.contents = load(connection, self.path, self._actor)
        except apsw.Error as exc:
            raise self._abandon(exc, "reopening") from exc
        except JournalRefused as exc:
            self.close()
            raise JournalFailed(str(exc)) from exc
        self._failed = False

    def change(self, durability: schema.Durability, retention: Retention) -> None:
        """Commit and retain like this from now on. Raises JournalFailed."""
        self._durability, self._retention = durability, retention
        if self._connection is not None and not self._failed:
            try:
                schema.set_durability(self._connection, durability)
            except apsw.Error as exc:
                raise self._abandon(exc, "changing") from exc

    def close(self) -> None:
        """Close the file. Never raises: what was acknowledged is in the file or its log already."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(apsw.Error):
                connection.close()

    def _connect(self, *, create: bool) -> apsw.Connection:
        self._connection = schema.connect(self.path, self._durability, self._vfs, create=create)
        return self._connection

    def _keep(self, connection: apsw.Connection, after: Contents) -> Contents:
        if not self._retention.is_due(after.oldest_seq, after.oldest_at_us, after.head.seq, after.at_us):
            return after
        oldest_seq, oldest_at_us = prune(connection, self._retention, after.head.seq, after.at_us)
        return replace(after, oldest_seq=oldest_seq, oldest_at_us=oldest_at_us)

    def _abandon(self, error: apsw.Error, doing: str) -> JournalFailed:
        self._failed = True
        failed = self._failure(error, doing)
        with suppress(apsw.Error):  # most failures have rolled back already
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        return failed

    def _failure(self, error: apsw.Error, doing: str) -> JournalFailed:
        has_errno = self._connection is not None and isinstance(error, apsw.IOError | apsw.CantOpenError)
        errno = self._connection.system_errno if has_errno and self._connection is not None else 0
        return failure(error, doing, self.path, errno)


def _settle(connection: apsw.Connection) -> None:
    """Commit something harmless where a failed commit may have left frames in the log."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    connection.execute("BEGIN IMMEDIATE")
    connection.pragma("user_version", schema.SCHEMA_VERSION)
    connection.execute("COMMIT")
