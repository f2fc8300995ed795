"""Putting another state in the place of a stopped actor's, as a transition of its chain.

Whether the actor is stopped the caller knows, by the lock of the var directory.
"""

from pathlib import Path

from theater_protocol.messages import Changed
from theater_supervisor.clock import WALL
from theater_supervisor.journal.contents import Entry, Head, Origin
from theater_supervisor.journal.database import Database
from theater_supervisor.journal.errors import JournalRefused
from theater_supervisor.journal.retention import hash_state


def set_state(path: Path, state: bytes | None) -> Head:
    """Record that the state is `state` from now on; return the head then.

    The actor is the one whose directory the journal is in. Raises JournalRefused, JournalFailed.
    """
    if not path.is_file():
        raise JournalRefused(f"{path}: no such journal: its actor was never started")
    database = Database(path)
    now_us = WALL.now_us()
    database.open(Origin(path.parent.name, bytes(32), None, now_us))
    try:
        at_us = max(database.contents.at_us, now_us)
        entry = Entry(at_us, "state", 0, state, "ok", (), hash_state(state))
        database.commit([entry], Changed(state))
        return database.contents.head
    finally:
        database.close()
