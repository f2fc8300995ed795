"""A journal read from outside: a consistent view of a live or a stopped one, which is never written.

What the rows must be is verify.py's affair; here they are only fetched.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Final, cast

import apsw

from theater_protocol.chain import Transition, decode
from theater_protocol.errors import RemoteProtocolError
from theater_protocol.ledger import Checkpoint
from theater_supervisor.journal import schema
from theater_supervisor.journal.bodies import Bodies
from theater_supervisor.journal.contents import Row
from theater_supervisor.journal.errors import JournalRefused, failure, system_failure
from theater_supervisor.journal.retention import read_checkpoint

_PART_BYTES: Final = 4 * 1024 * 1024
_ROW_OVERHEAD_BYTES: Final = 1024
_NO_END: Final = 1 << 63


class JournalReader:
    """One moment of a journal. Values come as they are stored: damaged ones included."""

    def __init__(self, connection: apsw.Connection, bodies: Bodies) -> None:
        self._connection = connection
        self._bodies = bodies

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint, None while nothing was dropped. Raises RemoteProtocolError when it is damaged."""
        return read_checkpoint(self._connection)

    def rows(self, since_seq: int | None = None) -> Iterator[Row]:
        """Yield (seq, hash, body) of the chain in the order of seq, None: whatever the seq.

        Raises RemoteProtocolError where a large body is missing, JournalFailed where it cannot be read.
        """
        since = -(1 << 63) if since_seq is None else since_seq
        query = "SELECT seq, hash, body FROM chain WHERE seq >= ? ORDER BY seq"
        bodies = self._bodies
        for seq, hash_, stored in cast(Iterator[Row], self._connection.execute(query, (since,))):
            try:
                body = bodies.whole(stored)
            except OSError as exc:
                raise system_failure(exc, f"reading the body of seq {seq} of", bodies.database) from exc
            yield seq, hash_, body

    def boundaries(self) -> Iterator[bytes]:
        """Yield the bodies that may be a genesis' or an instance's, in the order of seq."""
        query = (
            "SELECT body FROM chain WHERE length(body) < 1024 AND "
            "(seq = 0 OR instr(body, CAST('instance' AS BLOB))) ORDER BY seq"
        )
        for (body,) in cast(Iterator[tuple[bytes]], self._connection.execute(query)):
            yield body

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

    The newest commit may be seen a moment before it is on disk, so before its replies leave.
    Raises JournalRefused for what is not a journal of this schema or is damaged, JournalFailed when it
    cannot be read; both name the file.
    """
    if not path.is_file():
        raise JournalRefused(f"{path}: no such journal: check the actor's name and --var")
    connection: apsw.Connection | None = None
    bodies = Bodies(path)
    try:
        connection = _connect(path, vfs)
        if schema.is_new(connection, path):
            raise JournalRefused(f"{path}: empty: its actor was never started")
        connection.execute("BEGIN")
        yield JournalReader(connection, bodies)
    except (apsw.CorruptError, apsw.NotADBError) as exc:
        raise JournalRefused(f"{path}: damaged: {exc}: restore it from a backup") from exc
    except apsw.Error as exc:
        raise failure(exc, "reading", path) from exc
    finally:
        bodies.close()
        if connection is not None:
            with suppress(apsw.Error):  # nothing was written that closing could lose
                connection.close()


def rows(path: Path, since_seq: int = 0, until_seq: int | None = None) -> Iterator[tuple[bytes, Transition]]:
    """Yield each transition from `since_seq` to `until_seq` with its hash, for showing, exporting, replaying.

    None is the head of the moment when reading begins. A part is read at a time, so that a slow consumer
    does not hold up a live actor's write-ahead log. Raises what `read` raises, and JournalRefused at the
    first body that is missing or cannot be read.
    """
    last_seq: int | None = None
    expected: int | None = None
    while last_seq is None or since_seq <= last_seq:
        with read(path) as journal:
            if last_seq is None:
                head = journal.head()
                head_seq = head[0] if head is not None else _NO_END
                last_seq = head_seq if until_seq is None else min(until_seq, head_seq)
            part = list(_part(path, journal.rows(since_seq), last_seq))
        for seq, hash_, body in part:
            if expected is not None and seq != expected:
                raise _gap(path, expected, seq)
            yield hash_, _decoded(path, seq, body)
            expected = since_seq = seq + 1
        if not part:
            if expected is not None and last_seq != _NO_END:
                raise _gap(path, expected, last_seq + 1)
            return


def _part(path: Path, rows: Iterator[Row], last_seq: int) -> Iterator[Row]:
    size = 0
    try:
        for row in takewhile(lambda row: row[0] <= last_seq, rows):
            yield row
            size += _ROW_OVERHEAD_BYTES + len(row[2])
            if size > _PART_BYTES:
                return
    except RemoteProtocolError as exc:
        raise JournalRefused(f"{path}: damaged: {exc}: run `theaterctl chain verify`") from exc


def _gap(path: Path, expected: int, seq: int) -> JournalRefused:
    return JournalRefused(
        f"{path}: after seq {expected - 1} comes seq {seq}: retention dropped what lies between just now, "
        "or the journal is damaged: `theaterctl chain verify` tells"
    )


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
