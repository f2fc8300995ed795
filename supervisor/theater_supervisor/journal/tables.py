"""The SQL of a journal: one batch into the tables, and the tables back into memory.

Every write here happens inside the caller's transaction. What the values must be is decided in contents.py.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

import apsw

from theater_protocol.chain import NO_HASH, Genesis, Transition, decode, encode, hash_body
from theater_protocol.errors import RemoteProtocolError
from theater_protocol.ledger import Checkpoint, Ledger
from theater_protocol.messages import Changed, Unchanged
from theater_supervisor.journal import schema
from theater_supervisor.journal.bodies import Bodies, BodyFiles, read_place
from theater_supervisor.journal.contents import Contents, Entry, Head, Origin, Row
from theater_supervisor.journal.errors import JournalRefused
from theater_supervisor.journal.retention import hash_state, read_checkpoint

SNAPSHOTS_KEPT: Final = 8

# Of transitions that an earlier release does not know; in a batch they come first.
_LATER_KINDS: Final = ("seal", "state")


def write_origin(connection: apsw.Connection, origin: Origin) -> None:
    """Make the tables and the genesis."""
    given = Genesis(origin.actor, origin.component_sha256)
    state_hash = hash_state(origin.state)
    body = encode(Transition(0, NO_HASH, origin.at_us, "genesis", 0, given, "ok", (), state_hash))
    connection.execute(schema.TABLES)
    connection.execute("INSERT INTO chain VALUES (0, ?, ?)", (hash_body(body), body))
    connection.execute("INSERT INTO head VALUES (0, 0, ?, 0, 0)", (hash_body(body),))
    connection.execute("INSERT INTO state VALUES (0, ?)", (origin.state,))
    connection.execute("INSERT INTO snapshot VALUES (0, ?)", (origin.state,))
    connection.pragma("application_id", schema.APPLICATION_ID)
    connection.pragma("user_version", schema.PLAIN_VERSION)


def write_batch(
    connection: apsw.Connection,
    before: Contents,
    after: Contents,
    entries: Sequence[Entry],
    rows: Sequence[Row],
    update: Changed | Unchanged,
    bodies: BodyFiles,
) -> None:
    """Write what a batch changes; large bodies are staged. Raises apsw.Error, and OSError for those."""
    _write_chain(connection, entries, rows, bodies)
    _write_connections(connection, entries)
    _write_head(connection, after)
    if isinstance(update, Changed):
        connection.execute("UPDATE state SET bytes = ?", (update.state,))
    _write_snapshots(connection, before, after, entries)


def _write_chain(
    connection: apsw.Connection, entries: Sequence[Entry], rows: Sequence[Row], bodies: BodyFiles
) -> None:
    # What is quarantined is never dropped, files of bodies are.
    poison = [row for entry, row in zip(entries, rows, strict=True) if entry.outcome == "poison"]
    stored: Iterable[Row] = rows
    if any(bodies.takes(body) for _, _, body in rows):
        stored = [row if row in poison else _stored(row, bodies) for row in rows]
        _need_version(connection, schema.BODIES_VERSION)
    if entries[0].kind in _LATER_KINDS:
        _need_version(connection, schema.KINDS_VERSION)
    connection.executemany("INSERT INTO chain VALUES (?, ?, ?)", stored)
    if poison:
        connection.executemany("INSERT INTO quarantine VALUES (?, ?, ?)", poison)


def _need_version(connection: apsw.Connection, version: int) -> None:
    if connection.pragma("user_version") < version:
        connection.pragma("user_version", version)


def _stored(row: Row, bodies: BodyFiles) -> Row:
    seq, hash_, body = row
    return (seq, hash_, bodies.stage(body)) if bodies.takes(body) else row


def _write_connections(connection: apsw.Connection, entries: Sequence[Entry]) -> None:
    opened = {entry.connection for entry in entries if entry.kind == "connect"}
    closed = {entry.connection for entry in entries if entry.kind == "close"}
    if opened:
        new = [(one,) for one in sorted(opened - closed)]
        connection.executemany("INSERT INTO connection VALUES (?)", new)
    if closed:
        gone = [(one,) for one in closed - opened]
        connection.executemany("DELETE FROM connection WHERE id = ?", gone)


def _write_head(connection: apsw.Connection, after: Contents) -> None:
    ledger = after.ledger
    connection.execute(
        "UPDATE head SET seq = ?, hash = ?, last_connection = ?, initialised = ?",
        (after.head.seq, after.head.hash, ledger.last_connection, int(ledger.initialised)),
    )


def _write_snapshots(
    connection: apsw.Connection, before: Contents, after: Contents, entries: Sequence[Entry]
) -> None:
    """Keep the state each fresh instance began with, where its bytes are known, for replay to start from.

    One that an operator set is kept, too: nothing has to be run to have it.
    """
    known = {before.ledger.state_hash: before.state, after.ledger.state_hash: after.state}
    for seq, entry in enumerate(entries, before.head.seq + 1):
        if entry.kind in ("instance", "state") and entry.state_hash in known:
            _write_snapshot(connection, seq, known[entry.state_hash])


def _write_snapshot(connection: apsw.Connection, seq: int, state: bytes | None) -> None:
    newest = connection.execute("SELECT state IS ? FROM snapshot ORDER BY seq DESC LIMIT 1", (state,)).get
    if newest == 1:
        return
    connection.execute("INSERT INTO snapshot VALUES (?, ?)", (seq, state))
    connection.execute(
        "DELETE FROM snapshot WHERE seq > (SELECT min(seq) FROM snapshot) "
        "AND seq NOT IN (SELECT seq FROM snapshot ORDER BY seq DESC LIMIT ?)",
        (SNAPSHOTS_KEPT,),
    )


def load(connection: apsw.Connection, path: Path, actor: str, bodies: Bodies) -> Contents:
    """Read what the journal holds.

    Raises JournalRefused when its ends do not fit together, apsw.Error, and OSError for large bodies.
    """
    head_row = connection.execute("SELECT seq, hash, last_connection, initialised FROM head").get
    state_row = connection.execute("SELECT only, bytes FROM state").get
    newest = connection.execute("SELECT seq, hash, body FROM chain ORDER BY seq DESC LIMIT 1").get
    connections = cast(list[tuple[int]], list(connection.execute("SELECT id FROM connection")))
    if head_row is None or newest is None or state_row is None:
        raise damaged(path, "its head or its state is missing")
    head_seq, head_hash, last_connection, initialised = cast(tuple[int, bytes, int, int], head_row)
    seq, hash_, stored = cast(Row, newest)
    _, state = cast(tuple[int, bytes | None], state_row)
    try:
        body = bodies.whole(stored)
        if (seq, hash_) != (head_seq, head_hash) or hash_body(body) != hash_:
            raise damaged(path, f"seq {seq} is not the head that was recorded")
        transition = decode(body)
        owner = _owner(connection)
        oldest_seq, oldest_at_us = read_oldest(connection, bodies)
    except RemoteProtocolError as exc:
        raise damaged(path, str(exc)) from exc
    if owner != actor:
        raise JournalRefused(
            f"{path}: the journal of actor {owner!r}, not of {actor!r}; it was left as it is: "
            "give the actor its own name, or move the file away"
        )
    if hash_state(state) != transition.state_hash:
        raise damaged(path, f"the state does not have the hash recorded at seq {seq}")
    ledger = Ledger(transition.state_hash, (one for (one,) in connections), last_connection, initialised == 1)
    return Contents(owner, Head(seq, hash_), transition.at_us, state, ledger, oldest_seq, oldest_at_us)


def unsealed_checkpoint(connection: apsw.Connection) -> Checkpoint | None:
    """Return the checkpoint that an earlier release left, which has no seal in the chain.

    Raises RemoteProtocolError when it is damaged, apsw.Error when it cannot be read.
    """
    if connection.pragma("user_version") >= schema.KINDS_VERSION:
        return None
    return read_checkpoint(connection)


def _owner(connection: apsw.Connection) -> str:
    checkpoint = read_checkpoint(connection)
    if checkpoint is not None:
        return checkpoint.actor
    body = connection.execute("SELECT body FROM chain WHERE seq = 0").get
    given = decode(cast(bytes, body)).input if body is not None else None
    if not isinstance(given, Genesis):
        raise RemoteProtocolError("the genesis is missing")
    return given.actor


def read_oldest(connection: apsw.Connection, bodies: Bodies) -> tuple[int, int]:
    """Return the oldest transition's seq and time. Raises RemoteProtocolError when it is damaged."""
    row = connection.execute("SELECT seq, body FROM chain ORDER BY seq LIMIT 1").get
    seq, stored = cast(tuple[int, bytes], row)
    return seq, decode(bodies.whole(stored)).at_us


def check_bodies(
    connection: apsw.Connection, path: Path, head_seq: int, bodies: Bodies, *, may_be_behind: bool
) -> list[str]:
    """Say which files of large bodies are missing or too short, nothing when all are whole.

    `may_be_behind`: a power loss may have taken commits whose bodies were durable before them. Otherwise
    raises JournalRefused for transitions beyond the head, as when a live journal was copied without its
    write-ahead log; apsw.Error, OSError.
    """
    if not bodies.files() and connection.pragma("user_version") < schema.BODIES_VERSION:
        return []
    # SQLite reads no more of a row than that.
    query = "SELECT body FROM chain WHERE length(body) < 32 AND substr(body, 1, 1) = x'83' ORDER BY seq"
    ends: dict[int, int] = {}
    for (stored,) in cast(Iterable[tuple[bytes]], connection.execute(query)):
        with suppress(RemoteProtocolError):
            file, at, size = read_place(stored)
            ends[file] = max(ends.get(file, 0), at + size)
    beyond = bodies.beyond(ends, head_seq)
    if beyond is not None and (may_be_behind or connection.pragma("journal_mode") != "wal"):
        bodies.fence()  # what a power loss left, or files copied after a whole copy that SQLite made
    elif beyond is not None:
        raise JournalRefused(
            f"{path}: ends at seq {head_seq}, but {beyond} holds later transitions; nothing was changed: "
            f"restore {path.name}-wal, which was there with it, or all files from one backup"
        )
    return bodies.missing(ends)


def damaged(path: Path, what: str) -> JournalRefused:
    """Say that the journal is damaged, and what to do."""
    return JournalRefused(
        f"{path}: damaged: {what}; it was left as it is: `theaterctl chain verify` names the first bad seq, "
        "a backup mends it"
    )
