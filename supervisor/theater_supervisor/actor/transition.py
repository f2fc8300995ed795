"""From results to journal entries: what a worker answered is checked and given its chain form.

Pure: no trio, no clock, no disk. Every byte of a result comes from a worker and is not trusted.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from theater_protocol.errors import RemoteProtocolError
from theater_protocol.messages import (
    MAX_BATCH_BYTES,
    UNCHANGED,
    Changed,
    Deferred,
    Deliver,
    Limits,
    Result,
    Unchanged,
    payload_bytes,
)
from theater_supervisor.journal.store import Entry

# A worker writes when this much waits; one read can bring the end of a batch and the beginning of the next.
_BATCH_BYTES: Final = 2 * MAX_BATCH_BYTES
_QUICK_TO_HASH_BYTES: Final = 1024 * 1024
_BATCH_REPLIES: Final = _BATCH_BYTES // 8  # ["close", null]


@dataclass(frozen=True, slots=True)
class Batch:
    """Deliveries and results that are committed together, and the state after the last of them."""

    deliveries: Sequence[Deliver]
    results: Sequence[Result]
    entries: tuple[Entry, ...]
    update: Changed | Unchanged


def committable(results: Sequence[Result]) -> int:
    """Return how many of the results can be committed: all up to the last one that brings its state."""
    for count in range(len(results), 0, -1):
        if not isinstance(results[count - 1].update, Deferred):
            return count
    return 0


class Received(NamedTuple):
    """How much has been received and not committed: results, their replies, and the bytes of these."""

    results: int = 0
    replies: int = 0
    octets: int = 0


NOTHING_RECEIVED: Final = Received()


def check_bounds(
    results: Sequence[Result], in_flight: int, limits: Limits, before: Received = NOTHING_RECEIVED
) -> Received:
    """Check what is received, after what was `before` and is not committed, against what a worker may send.

    Each result keeps the limits, and together they are no more than a worker collects before it writes.
    Returns how much it is with what was before; raises RemoteProtocolError.
    """
    count, replies, octets = before
    count += len(results)
    if count > in_flight:
        raise RemoteProtocolError("a result for no delivery")
    for result in results:
        if isinstance(result.update, Changed) and len(result.update.state or b"") > limits.max_state_bytes:
            raise RemoteProtocolError("a state over the limit")
        if result.replies:
            size = sum([payload_bytes(reply) for reply in result.replies if reply.payload])
            if len(result.replies) > limits.max_replies or size > limits.max_reply_bytes:
                raise RemoteProtocolError(f"{len(result.replies)} replies of {size} bytes to one event")
            replies += len(result.replies)
            octets += size
    if replies > _BATCH_REPLIES + limits.max_replies or octets > _BATCH_BYTES + limits.max_reply_bytes:
        raise RemoteProtocolError(f"{replies} replies of {octets} bytes at once")
    return Received(count, replies, octets)


def to_batch(deliveries: Sequence[Deliver], results: Sequence[Result], state_hash: bytes | None) -> Batch:
    """Check committable results against their deliveries and make the batch.

    `state_hash` is the hash of the last committed state. Raises RemoteProtocolError when a hash does not
    belong to the bytes that came with it, or a failed call pretends to have changed the state.
    """
    update: Changed | Unchanged = UNCHANGED
    carried = state_hash
    for result in results:
        match result.update:
            case Changed(state):
                if result.state_hash != hash_state(state):
                    raise RemoteProtocolError("the state hash does not belong to the state")
                update, carried = result.update, result.state_hash
            case Unchanged():
                if result.state_hash != carried:
                    raise RemoteProtocolError("an unchanged state with another hash")
            case Deferred():
                pass
    _check_failed_calls(results, state_hash)
    entries = tuple(_entry(*pair) for pair in zip(deliveries, results, strict=True))
    return Batch(deliveries, results, entries, update)


def is_long_to_hash(results: Sequence[Result]) -> bool:
    """Say whether making a batch of these takes milliseconds, for the state that they bring is large."""
    update = results[-1].update
    return isinstance(update, Changed) and len(update.state or b"") > _QUICK_TO_HASH_BYTES


def hash_state(state: bytes | None) -> bytes | None:
    """Return the SHA-256 of a state, None for the state `none`."""
    return None if state is None else hashlib.sha256(state).digest()


def _check_failed_calls(results: Sequence[Result], state_hash: bytes | None) -> None:
    previous = state_hash
    for result in results:
        if result.outcome != "ok" and result.state_hash != previous:
            raise RemoteProtocolError(f"outcome {result.outcome} with another state hash")
        previous = result.state_hash


def _entry(deliver: Deliver, result: Result) -> Entry:
    _, connection, kind, at_us, payload = deliver
    _, outcome, _, replies, state_hash, _ = result
    return Entry(at_us, kind, connection, payload, outcome, replies, state_hash)
