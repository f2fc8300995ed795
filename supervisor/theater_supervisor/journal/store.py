"""The journal as the actor sees it: awaitable commits, and what was committed.

The blocking work is in database.py, one call at a time; pace.py says where it runs. Nothing here decides what
a transition is or when one is due.
"""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, Final, NamedTuple, TypeVar

import trio

from theater_protocol.messages import Changed, Unchanged
from theater_supervisor.awake import Trial
from theater_supervisor.clock import WALL
from theater_supervisor.journal.bodies import BodyFiles
from theater_supervisor.journal.contents import Contents, Entry, Head, Origin
from theater_supervisor.journal.database import Database
from theater_supervisor.journal.errors import JournalFailed, JournalLocked, JournalRefused
from theater_supervisor.journal.log_file import LogFile
from theater_supervisor.journal.pace import QUICK_BYTES, REPLY_BYTES, Pace
from theater_supervisor.journal.retention import KEEP_ALL, Retention
from theater_supervisor.journal.schema import Durability

__all__ = [
    "KEEP_ALL",
    "Durability",
    "Entry",
    "Head",
    "Journal",
    "JournalFailed",
    "JournalRefused",
    "Retention",
]

_CLOSE_S: Final = 10.0
# Who comes alone has nothing else to be done meanwhile, and waits 50 µs longer when the kernel is asked.
_LONE_ENTRIES: Final = 2
# Who commits again so soon, or before so many commits could have been made, serves a client that waits for
# each answer: it gets it an eighth sooner when the processor stays awake for as long as the disk works. For
# others that would be a waste.
_BRISK_S, _MOST_BRISK_S = 0.002, 0.02
_BRISK_COMMITS: Final = 10

_T = TypeVar("_T")


class _Took(NamedTuple):
    """How long the two parts of a commit took."""

    write_s: float
    sync_s: float


class Journal:
    """An actor's chain, state and open connections, on disk.

    The properties show what is committed: never more, and nothing less. A call that has begun to work on the
    disk cannot be cancelled and ends as the disk does; one that waits for its turn can. A commit may run on
    the event loop itself while that is quick (see pace.py); everything else runs in a thread.
    """

    _pace: ClassVar = Pace()
    _sync_pace: ClassVar = Pace()

    def __init__(self, database: Database) -> None:
        self._database = database
        self._limiter = trio.CapacityLimiter(1)
        self._ended_s = -math.inf
        self._brisk_s = _BRISK_S
        self._trial = Trial()

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        actor: str,
        component_sha256: bytes,
        initial_state: bytes | None,
        durability: Durability,
        retention: Retention = KEEP_ALL,
        vfs: str | None = None,
        log_file: Callable[[Path], LogFile] = LogFile,
        bodies: Callable[[Path], BodyFiles] = BodyFiles,
    ) -> "Journal":
        """Open the journal of `actor`, or begin it, with its genesis, when there is none.

        `component_sha256` and `initial_state` are those of a new journal; an existing one keeps its own. A
        changed component is for the caller to record, with its first entry of kind `instance`.
        Raises JournalRefused for a file that is not this actor's journal or is damaged, leaving it as it is,
        and JournalFailed when the disk does not let it be read or written.
        """
        journal = cls(Database(path, durability, retention, vfs, log_file, bodies, WALL.settled))
        origin = Origin(actor, component_sha256, initial_state, WALL.now_us())
        await journal._run(partial(journal._database.open, origin))
        return journal

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    @property
    def missing_bodies(self) -> list[str]:
        """In words, which files of large bodies were missing or too short when it was opened."""
        return self._database.missing_bodies

    @property
    def state(self) -> bytes | None:
        """The state after the head."""
        return self._contents.state

    @property
    def state_hash(self) -> bytes | None:
        """The state's SHA-256, None where the state is none."""
        return self._contents.ledger.state_hash

    @property
    def head(self) -> Head:
        """The newest transition's seq and hash."""
        return self._contents.head

    @property
    def open_connections(self) -> tuple[int, ...]:
        """Connections whose `connect` is committed and whose `close` is not, in ascending order."""
        return tuple(sorted(self._contents.ledger.open))

    @property
    def next_connection(self) -> int:
        """A connection id greater than any that was committed."""
        return self._contents.ledger.last_connection + 1

    @property
    def initialised(self) -> bool:
        """Whether a successful `init` or an event is committed: `init` is not to be called any more."""
        return self._contents.ledger.initialised

    @property
    def last_at_us(self) -> int:
        """The head's time, Unix µs."""
        return self._contents.at_us

    async def commit(self, entries: Sequence[Entry], state: Changed | Unchanged) -> None:
        """Add `entries` and the state after the last of them, in one transaction.

        When it returns they are on disk. Raises LocalProtocolError, with nothing written, for entries that
        cannot follow the chain: ids of `connect` only count up, other events need an open connection, only
        ok changes the state, and never kind instance. Raises JournalFailed when the disk fails: then nothing
        of the batch was acknowledged and `recover` must come before the next commit.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if not entries:
            return
        if self._limiter.borrowed_tokens or _payload_bytes(entries, state) > QUICK_BYTES:
            await self._run(partial(self._database.commit, entries, state))
            return
        # A thread only waits for the disk: in it each statement would wait for the event loop to let go of
        # the interpreter, which under load takes longer than all of them.
        begun_s = time.monotonic()
        try:
            after = self._database.stage(entries, state)
        except JournalLocked:
            await self._run(partial(self._database.commit, entries, state))
            return
        on_loop = self._pace.allows(len(entries), begun_s)
        meanwhile = self._database.can_sync_meanwhile()
        lone = len(entries) <= _LONE_ENTRIES and (not meanwhile or self._sync_pace.allows(1, begun_s))
        here = on_loop and (lone or not meanwhile)
        if here:
            took = self._finish_here(after, brisk=lone and begun_s - self._ended_s < self._brisk_s)
        else:
            with trio.CancelScope(shield=True):  # what is staged has begun
                if on_loop:
                    took = await self._finish_meanwhile(after)
                else:
                    took = await self._run(partial(self._finish, after))
        self._ended_s = time.monotonic()
        # A sync that need not hold the loop up is no reason for a thread.
        self._pace.used(
            len(entries), took.write_s if meanwhile else took.write_s + took.sync_s, on_loop=on_loop
        )
        if meanwhile:
            self._sync_pace.used(1, took.sync_s, on_loop=here)

    def displaced(self) -> str:
        """Say in words that the open file is not the one at `path` any more, "" when it is.

        What would be committed to it would be lost. `recover` goes on from what is at `path`.
        """
        return self._database.displaced()

    async def recover(self) -> None:
        """Reopen after a JournalFailed and read again what is committed; then the properties hold again.

        A failed batch is gone, or there as a whole: it is when it was written and only the sync failed. So go
        on from `state`, `open_connections` and `next_connection`, never from what was remembered. Raises
        JournalFailed while the cause persists; call it again later.
        """
        await self._run(self._database.recover)

    async def change(self, durability: Durability, retention: Retention) -> None:
        """Commit and retain like this from the next commit on."""
        await self._run(partial(self._database.change, durability, retention))

    async def aclose(self) -> None:
        """Close the file, also while cancelled. Idempotent."""
        with trio.move_on_after(_CLOSE_S) as scope:
            scope.shield = True
            await self._run(self._database.close)

    @property
    def _contents(self) -> Contents:
        return self._database.contents

    def _finish_here(self, after: Contents, *, brisk: bool) -> _Took:
        """Finish a commit while the loop waits; awake if that is quicker, for who is `brisk`."""
        took = self._finish(after, awake=brisk and self._trial.is_awake)
        took_s = took.write_s + took.sync_s
        if brisk:
            self._trial.learn(took_s)
        self._brisk_s = min(max(_BRISK_S, _BRISK_COMMITS * took_s), _MOST_BRISK_S)
        return took

    def _finish(self, after: Contents, *, awake: bool = False) -> _Took:
        begun_s = time.monotonic()
        self._database.write()
        written_s = time.monotonic()
        self._database.sync(awake=awake)
        ended_s = time.monotonic()
        self._database.acknowledge(after)
        return _Took(written_s - begun_s, ended_s - written_s)

    async def _finish_meanwhile(self, after: Contents) -> _Took:
        """Finish a commit while other tasks run."""
        self._limiter.acquire_nowait()
        begun_s = time.monotonic()
        try:
            self._database.write()
            written_s = time.monotonic()
            await self._database.log.sync_meanwhile()
        except OSError as exc:
            raise self._database.sync_failed(exc) from exc
        finally:
            self._limiter.release()
        ended_s = time.monotonic()
        self._database.acknowledge(after)
        return _Took(written_s - begun_s, ended_s - written_s)

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await trio.to_thread.run_sync(work, limiter=self._limiter)


def _payload_bytes(entries: Sequence[Entry], update: Changed | Unchanged) -> int:
    """Return about how much there is to hash and to copy, many replies to one event included.

    Beyond QUICK_BYTES it may be more.
    """
    size = len(update.state or b"") if isinstance(update, Changed) else 0
    # Replies beyond the first, for which its entry stands.
    size += REPLY_BYTES * sum([len(entry.replies) - 1 for entry in entries if entry.replies])
    if size > QUICK_BYTES:
        return size
    for entry in entries:
        if isinstance(entry.input, str | bytes):
            size += len(entry.input)
        for reply in entry.replies:
            size += len(reply.payload or b"")
    return size
