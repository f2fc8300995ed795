"""Results on their way to the supervisor, several in one write.

Decides which result of a write brings the state; writing itself is a function given at the start.
What a result says of the state (messages.py has the words):
- The last result of a write that changed the state says Changed, or Unchanged if the state has come back to
  the one that was sent last. Results after it changed nothing and say Unchanged.
- Results before it say Deferred once the state has left the one that was sent last, until then Unchanged.
So every write leaves the supervisor with the state after its last result, and only results of the outcome ok
are ever Changed.
"""

import hashlib
import threading
from collections.abc import Callable

from theater_protocol.items import encode_frames
from theater_protocol.messages import (
    DEFERRED,
    MAX_BATCH_BYTES,
    REPLY_OVERHEAD_BYTES,
    UNCHANGED,
    Changed,
    Result,
    Result2,
    StateUpdate,
    payload_bytes,
)
from theater_worker.component import Ok, Outcome
from theater_worker.instances import Err, Stopped
from theater_worker.interface2.component import Ok2, Outcome2, Skipped, effect_bytes
from theater_worker.route import State


class Outbox:
    """Collects results from `state` on and writes them in as few writes as possible.

    Not for two threads to add to; but any thread may flush.
    """

    def __init__(self, state: State, write: Callable[[bytes], None]) -> None:
        self.state = state
        self._write = write
        self._lock = threading.Lock()
        self._hash = _state_hash(state)
        self._sent = state
        self._pending: list[tuple[int, Outcome | Outcome2, bytes | None, bytes | None]] = []
        self._pending_bytes = 0
        self._first_change: int | None = None
        self._last_change = -1

    @property
    def waiting(self) -> int:
        """How many results wait."""
        return len(self._pending)

    def add(self, delivery: int, outcome: Outcome | Outcome2, digest: bytes | None = None) -> None:
        """Take the outcome of a delivery; flush when more than MAX_BATCH_BYTES wait.

        `digest` is that of the ledger after it, with interface 2.
        """
        with self._lock:
            if isinstance(outcome, Ok):
                self._change_state(outcome.state)
                self._pending_bytes += sum(
                    REPLY_OVERHEAD_BYTES + payload_bytes(reply) for reply in outcome.replies
                )
            elif isinstance(outcome, Ok2):
                self._change_state(outcome.state)
                self._pending_bytes += sum(map(effect_bytes, outcome.effects))
            self._pending.append((delivery, outcome, digest, self._hash))
        if self._pending_bytes > MAX_BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write everything that waits."""
        with self._lock:
            if not self._pending:
                return
            results = [_result(*pending, self._update(index)) for index, pending in enumerate(self._pending)]
            self._sent = self.state
            self._pending = []
            self._pending_bytes = 0
            self._first_change, self._last_change = None, -1
            self._write(encode_frames(results))

    def _change_state(self, state: State) -> None:
        if state == self.state:
            return
        self.state = state
        self._hash = _state_hash(state)
        self._last_change = len(self._pending)
        if self._first_change is None:
            self._first_change = self._last_change

    def _update(self, index: int) -> StateUpdate:
        if self._first_change is None or index < self._first_change or index > self._last_change:
            return UNCHANGED
        if index < self._last_change:
            return DEFERRED
        return UNCHANGED if self.state == self._sent else Changed(self.state)


def _result(
    delivery: int,
    outcome: Outcome | Outcome2,
    digest: bytes | None,
    state_hash: bytes | None,
    update: StateUpdate,
) -> Result | Result2:
    if digest is not None:
        return _result2(delivery, outcome, digest, state_hash, update)
    match outcome:
        case Ok(_, replies):
            return Result(delivery, "ok", None, replies, state_hash, update)
        case Err(detail):
            return Result(delivery, "err", detail, (), state_hash, update)
        case Stopped(name, detail):
            return Result(delivery, name, detail, (), state_hash, update)
        case Ok2() | Skipped():
            raise AssertionError("an outcome of interface 2 without its ledger's digest")


def _result2(
    delivery: int, outcome: Outcome | Outcome2, digest: bytes, state_hash: bytes | None, update: StateUpdate
) -> Result2:
    match outcome:
        case Ok2(_, effects):
            return Result2(delivery, "ok", None, effects, state_hash, update, digest)
        case Err(detail):
            return Result2(delivery, "err", detail, (), state_hash, update, digest)
        case Stopped(name, detail):
            return Result2(delivery, name, detail, (), state_hash, update, digest)
        case Skipped():
            return Result2(delivery, "skipped", None, (), state_hash, update, digest)
        case Ok():
            raise AssertionError("an outcome of version 1 with a digest")


def _state_hash(state: State) -> bytes | None:
    return None if state is None else hashlib.sha256(state).digest()
