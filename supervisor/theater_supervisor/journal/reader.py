"""A journal read from outside: a consistent view of a live or a stopped one, which is never written.

What the rows must be is verify.py's affair; here they are only fetched.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import apsw

from theater_protocol.chain import Transition, decode
from theater_protocol.errors import RemoteProtocolError
from theater_protocol.ledger import Checkpoint
from theater_supervisor.journal import schema
from theater_supervisor.journal.contents import Row
from theater_supervisor.journal.errors import JournalRefused, failure
from theater_supervisor.journal.retention import read_checkpoint


class JournalReader:
    """One moment of a journal. Values come as they are stored: damaged ones included."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint, None while nothing was dropped. Raises RemoteProtocolError when it is damaged."""
        return read_checkpoint(self._connection)

    def rows(self, since_seq: int | None = None) -> Iterator[Row]:
        """Yield (seq, hash, body) of the chain in the order of seq, None: whatever the seq."""
        since = -(1 << 63) if since_seq is None else since_seq
        query = "SELECT seq, hash, body FROM chain WHERE seq >= ? ORDER BY seq"
        return cast(Iterator[Row], self._connection.execute(query, (since,)))

    def head(self) -> tuple[int, bytes, int, int] | None:
        """The recorded head: seq, hash, last connection, initialised (0 or 1)."""
        query = "SELECT seq, hash, last_connection, initialised FROM head"
        return cast(tuple[int, bytes, int, int] | None, self._connection.execute(query).get)

    def state(self) -> bytes | None:
        """The current state. Raises KeyError when its row is missing."""
        row = self._connection.execute("SELECT only, bytes FROM state").get
        if row is None:
            raise KeyError("state")
        return cast(tuple[int, bytes | None], row)[1]

    def open_connections(self) -> set[int]:
        """The connections recorded as open."""
        return {cast(int, one) for (one,) in self._connection.execute("SELECT id FROM connection")}

    def snapshots(self) -> dict[int, bytes | None]:
        """The kept states by seq: the state after that transition, for a fresh instance to begin with."""
        rows = self._connection.execute("SELECT seq, state FROM snapshot ORDER BY seq")
        return {cast(int, seq): cast(bytes | None, state) for seq, state in rows}

    def quarantined(self) -> dict[int, tuple[bytes, bytes]]:
        """The quarantined deliveries by seq: hash and body of their transition, also of dropped ones."""
        rows = self._connection.execute("SELECT seq, hash, body FROM quarantine ORDER BY seq")
        return {cast(int, seq): (cast(bytes, hash_), cast(bytes, body)) for seq, hash_, body in rows}


@contextmanager
def read(path: Path, vfs: str | None = None) -> Iterator[JournalReader]:
    """Open a journal for reading; what the supervisor commits meanwhile is not seen.

    Raises JournalRefused for what is not a journal of this schema or is damaged, JournalFailed when it
    cannot be read; both name the file.
    """
    if not path.is_file():
        raise JournalRefused(f"{path}: no such journal: check the actor's name and --var")
    connection: apsw.Connection | None = None
    try:
        connection = _connect(path, vfs)
        if schema.is_new(connection, path):
            raise JournalRefused(f"{path}: empty: its actor was never started")
        connection.execute("BEGIN")
        yield JournalReader(connection)
    except (apsw.CorruptError, apsw.NotADBError) as exc:
        raise JournalRefused(f"{path}: damaged: {exc}: restore it from a backup") from exc
    except apsw.Error as exc:
        raise failure(exc, "reading", path) from exc
    finally:
        if connection is not None:
            with suppress(apsw.Error):  # nothing was written that closing could lose
                connection.close()


def rows(path: Path, since_seq: int = 0) -> Iterator[tuple[bytes, Transition]]:
    """Yield each transition from `since_seq` on with its hash, for showing and exporting.

    Raises what `read` raises, and JournalRefused at the first body that cannot be read.
    """
    with read(path) as journal:
        for seq, hash_, body in journal.rows(since_seq):
            yield hash_, _decoded(path, seq, body)


def quarantined(path: Path) -> list[Transition]:
    """Return the quarantined deliveries, oldest first; retention never drops them. Raises as `rows` does."""
    with read(path) as journal:
        return [_decoded(path, seq, body) for seq, (_, body) in journal.quarantined().items()]


def _decoded(path: Path, seq: int, body: bytes) -> Transition:
    try:
        return decode(body)
    except RemoteProtocolError as exc:
        raise JournalRefused(f"{path}: damaged: seq {seq}: {exc}: run `theaterctl chain verify`") from exc


def _connect(path: Path, vfs: str | None) -> apsw.Connection:
    """Open read-only; on a read-only medium without the files that a live journal needs beside it."""
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    uri = path.absolute().as_uri()
    connection = apsw.Connection(uri, flags=flags, vfs=vfs)
    connection.set_busy_timeout(schema.BUSY_TIMEOUT_MS)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").get  # noqa: B018 - the first read opens the log
    except apsw.CantOpenError:
        log = path.with_name(path.name + "-wal")
        if os.access(path.parent, os.W_OK) or (log.exists() and log.stat().st_size):
            raise
        return apsw.Connection(f"{uri}?immutable=1", flags=flags, vfs=vfs)
    return connection
