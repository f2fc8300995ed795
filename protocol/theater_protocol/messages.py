"""The messages between supervisor and worker, and the limits they keep to.

Records and numbers only: how they become CBOR items, and are read from them, is in items.py; what happens on
a message is decided elsewhere. Those made for every event are named tuples: a frozen dataclass takes 0.9 µs
to make, a tuple 0.4.
"""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from theater_protocol.framing import MAX_FRAME_BYTES
from theater_protocol.interface2.effects import Effect
from theater_protocol.interface2.events import Event

EventKind = Literal["init", "connect", "text", "binary", "ping", "pong", "close"]
ReplyKind = Literal["text", "binary", "ping", "pong", "close"]
Outcome = Literal["ok", "err", "trap", "timeout"]
Payload = str | bytes | None

HASH_BYTES: Final = 32
SEED_BYTES: Final = 32
MAX_SANDBOX_LEVEL: Final = 2
MAX_DETAIL_CHARS: Final = 4096
REPLY_OVERHEAD_BYTES: Final = 20
MAX_BATCH_BYTES: Final = 256 * 1024  # replies beyond this do not wait for later results
MAX_BATCH_FRAME_BYTES: Final = 64 * 1024  # what is longer has a frame of its own
RESULT_OVERHEAD_BYTES: Final = 4 * MAX_DETAIL_CHARS + 256

PAYLOAD_TYPES: Final[dict[str, type]] = {
    "init": str,
    "connect": type(None),
    "text": str,
    "binary": bytes,
    "ping": bytes,
    "pong": bytes,
    "close": type(None),
}


class Reply(NamedTuple):
    """One message of a response: text has str, binary, ping and pong have bytes, close has None."""

    kind: ReplyKind
    payload: Payload


def payload_bytes(reply: Reply) -> int:
    """Return how many bytes a reply's payload has on the wire."""
    payload = reply.payload
    if isinstance(payload, str) and not payload.isascii():
        return len(payload.encode())
    return len(payload) if payload else 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call and one instance may use, and what one call may answer.

    `max_replies` counts messages, `max_reply_bytes` sums the bytes of their payloads. Raises ValueError when
    a result within the limits could be longer than a frame.
    """

    call_timeout_us: int
    memory_bytes: int
    max_state_bytes: int = 16 << 20
    max_replies: int = 10_000
    max_reply_bytes: int = 16 << 20

    def __post_init__(self) -> None:
        if self.max_result_bytes > MAX_FRAME_BYTES:
            raise ValueError(f"results of {self.max_result_bytes} bytes do not fit into frames")

    @property
    def max_result_bytes(self) -> int:
        """How long a Result within these limits can be on the wire."""
        replies = self.max_reply_bytes + self.max_replies * REPLY_OVERHEAD_BYTES
        return self.max_state_bytes + replies + RESULT_OVERHEAD_BYTES

    @property
    def max_result_items(self) -> int:
        """How many CBOR items a Result within these limits can consist of."""
        return 3 * self.max_replies + 16

    @property
    def max_frame_bytes(self) -> int:
        """How long a worker's frame can be: one Result, or a batch of small ones."""
        return max(self.max_result_bytes, MAX_BATCH_FRAME_BYTES)

    @property
    def max_frame_items(self) -> int:
        """How many CBOR items a worker's frame can consist of; in a batch they have two bytes and more."""
        return max(self.max_result_items, MAX_BATCH_FRAME_BYTES // 2)


@dataclass(frozen=True, slots=True)
class LedgerLimits:
    """How much the host keeps for one actor; each is a key of the manifest's `[limits]`."""

    max_rooms: int = 10_000
    max_room_name_bytes: int = 256
    max_room_members: int = 100_000
    max_timers: int = 100_000
    max_timer_name_bytes: int = 256
    max_attachment_bytes: int = 16 * 1024
    max_targets: int = 10_000


@dataclass(frozen=True, slots=True)
class Start:
    """supervisor → worker, once and first: run this component from this state.

    `compiled_path` is the compile cache's file for the component whose SHA-256 is `component_sha256`;
    `seed` (32 bytes) is where the first instance's random numbers come from.
    """

    actor: str
    compiled_path: str
    component_sha256: bytes
    limits: Limits
    seed: bytes
    state: bytes | None


class Deliver(NamedTuple):
    """supervisor → worker: one event. `delivery` counts up; `at_us` is Unix time, the guest's clock.

    The payload by kind: init has the actor's name, text has str, binary, ping and pong have bytes,
    connect and close have None. `connection` is 0 for init.
    """

    delivery: int
    connection: int
    kind: EventKind
    at_us: int
    payload: Payload


@dataclass(frozen=True, slots=True)
class Start2:
    """supervisor → worker, in place of Start for a component of interface 2.

    `ledger` is the snapshot of what is kept for the actor (interface2.kept), which the worker goes on from.
    """

    start: Start
    ledger: list[object]
    ledger_limits: LedgerLimits


class Deliver2(NamedTuple):
    """supervisor → worker: one event of interface 2. `at_us` is Unix time, the guest's clock and `now`."""

    delivery: int
    at_us: int
    event: Event


@dataclass(frozen=True, slots=True)
class Stop:
    """supervisor → worker: finish what was delivered, then exit 0."""


@dataclass(frozen=True, slots=True)
class Ready:
    """worker → supervisor, once and first: the component is instantiated.

    `exports_init` says that the component exports `ntwk:theater/actor` `init`. `sandbox_level` is what holds
    the worker: 2 seccomp and Landlock, 1 seccomp alone, 0 none.
    """

    component_sha256: bytes
    exports_init: bool
    sandbox_level: int = 0


@dataclass(frozen=True, slots=True)
class Changed:
    """The result's state is these bytes (None: the actor returned `none`)."""

    state: bytes | None


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The result's state is the last state the supervisor has or was sent."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """The result's state is not here: a later result of the same write brings state for both."""


StateUpdate = Changed | Unchanged | Deferred
UNCHANGED: Final = Unchanged()
DEFERRED: Final = Deferred()


class Result(NamedTuple):
    """worker → supervisor: what a delivery came to.

    `detail` is the actor's error string for err, the reason for trap and timeout, else None; it has at most
    MAX_DETAIL_CHARS. `state_hash` is the SHA-256 of the state after the call, None where the state is none.
    Replies only with ok.
    """

    delivery: int
    outcome: Outcome
    detail: str | None
    replies: tuple[Reply, ...]
    state_hash: bytes | None
    update: StateUpdate


class Result2(NamedTuple):
    """worker → supervisor: what a delivery of interface 2 came to.

    As Result, with effects in place of replies, and the digest of the worker's ledger after it, which must be
    that of the supervisor's. `skipped`: a timer that an event before it has moved or cancelled.
    """

    delivery: int
    outcome: Outcome | Literal["skipped"]
    detail: str | None
    effects: tuple[Effect, ...]
    state_hash: bytes | None
    update: StateUpdate
    digest: bytes


ToWorker = Start | Start2 | Deliver | Deliver2 | Stop
FromWorker = Ready | Result | Result2
