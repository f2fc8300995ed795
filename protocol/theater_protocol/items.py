"""Messages as CBOR items: the strict way from and to them, one frame's or a batch's.

frames.cddl beside this file is the same contract for other languages. Items are values: their bytes are made
and read in cbor.py and framing.py. What comes from the other process is trusted in nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, fields
from typing import Any, Final, TypeVar, cast

from theater_protocol.errors import LocalProtocolError, RemoteProtocolError
from theater_protocol.fields import broken, read_count, read_octets, read_payload, read_state, read_typed
from theater_protocol.framing import encode_frame, encode_large_frame
from theater_protocol.interface2.frame_items import (
    deliver2_item,
    read_deliver2,
    read_result2,
    read_start2,
    result2_item,
    size_bytes,
    start2_item,
)
from theater_protocol.messages import (
    DEFERRED,
    HASH_BYTES,
    MAX_BATCH_FRAME_BYTES,
    MAX_DETAIL_CHARS,
    MAX_SANDBOX_LEVEL,
    PAYLOAD_TYPES,
    REPLY_OVERHEAD_BYTES,
    SEED_BYTES,
    UNCHANGED,
    Changed,
    Deferred,
    Deliver,
    Deliver2,
    EventKind,
    FromWorker,
    Limits,
    Outcome,
    Ready,
    Reply,
    ReplyKind,
    Result,
    Result2,
    Start,
    Start2,
    StateUpdate,
    Stop,
    ToWorker,
    Unchanged,
    payload_bytes,
)

_T = TypeVar("_T")

_EVENT_OVERHEAD_BYTES: Final = 96  # a frame without what it carries
_REPLY_KINDS: Final = frozenset({"text", "binary", "ping", "pong", "close"})
_OUTCOMES: Final = frozenset({"ok", "err", "trap", "timeout"})


def to_item(frame: ToWorker | FromWorker) -> list[object]:
    """Turn a frame into its CBOR item, `[tag, field, …]`.

    Raises LocalProtocolError for a payload that does not fit its kind.
    """
    match frame:
        case Deliver(delivery, connection, kind, at_us, payload):
            if type(payload) is not PAYLOAD_TYPES[kind]:
                raise LocalProtocolError(f"a {kind} event cannot carry {type(payload).__name__}")
            return [2, delivery, connection, kind, at_us, payload]
        case Result(delivery, outcome, detail, replies, state_hash, update):
            pairs = [[*reply] for reply in replies]
            return [17, delivery, outcome, detail, pairs, state_hash, _update_item(update)]
        case Start(actor, path, sha256, limits, seed, state):
            return [1, actor, path, sha256, [*astuple(limits)], seed, state]
        case Stop():
            return [3]
        case Deliver2():
            return deliver2_item(frame)
        case Result2():
            return result2_item(frame, _update_item(frame.update))
        case Start2(start):
            return start2_item(frame, to_item(start))
        case Ready(sha256, exports_init, sandbox_level):
            return [16, sha256, exports_init, sandbox_level]


def encode_frames(frames: Sequence[ToWorker | FromWorker]) -> bytes:
    """Encode frames for one write.

    An item is a frame's own or an array of as many as MAX_BATCH_FRAME_BYTES allow, which costs half as much.
    Raises what to_item and framing.encode_frame do.
    """
    if len(frames) == 1 and _size_bytes(frames[0]) <= MAX_BATCH_FRAME_BYTES:
        return encode_frame(to_item(frames[0]))
    parts: list[bytes] = []
    for item, size in _batches(frames):
        if size > MAX_BATCH_FRAME_BYTES:
            parts += encode_large_frame(item)
        else:
            parts.append(encode_frame(item))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _batches(frames: Iterable[ToWorker | FromWorker]) -> Iterator[tuple[list[object], int]]:
    """Yield items and about how many bytes each has."""
    batch: list[object] = []
    batch_bytes = 0
    for frame in frames:
        frame_bytes = _size_bytes(frame)
        if batch and batch_bytes + frame_bytes > MAX_BATCH_FRAME_BYTES:
            yield _as_item(batch), batch_bytes
            batch, batch_bytes = [], 0
        batch.append(to_item(frame))
        batch_bytes += frame_bytes
    if batch:
        yield _as_item(batch), batch_bytes


def _as_item(batch: list[object]) -> list[object]:
    return cast(list[object], batch[0]) if len(batch) == 1 else batch


def _size_bytes(frame: ToWorker | FromWorker) -> int:
    """Return what an item has at most; a Deliver's text may have more, which nobody bounds."""
    match frame:
        case Deliver(_, _, _, _, payload):
            return _EVENT_OVERHEAD_BYTES + (len(payload) if payload else 0)
        case Result(_, _, detail, replies, _, update):
            size = _EVENT_OVERHEAD_BYTES + (4 * len(detail) if detail else 0)
            for reply in replies:
                size += REPLY_OVERHEAD_BYTES + payload_bytes(reply)
            return size + (len(update.state) if isinstance(update, Changed) and update.state else 0)
        case Deliver2():
            return size_bytes(frame)
        case Result2(_, _, detail, effects, _, update):
            state = update.state if isinstance(update, Changed) else None
            return _EVENT_OVERHEAD_BYTES + size_bytes((detail, effects)) + len(state or b"")
        case _:
            return MAX_BATCH_FRAME_BYTES


def to_worker(item: object) -> ToWorker:
    """Read one frame's item that the supervisor sent. Raises RemoteProtocolError when it is not one."""
    return _read(item, _TO_WORKER)


def from_worker(item: object) -> FromWorker:
    """Read one frame's item that a worker sent. Raises RemoteProtocolError when it is not one."""
    return _read(item, _FROM_WORKER)


def all_to_worker(items: Iterable[object]) -> list[ToWorker]:
    """Read the frames in items, each one or a batch, that the supervisor sent. Raises RemoteProtocolError."""
    return [to_worker(one) for item in items for one in _unpack(item)]


def all_from_worker(items: Iterable[object]) -> list[FromWorker]:
    """Read the frames in items, each one or a batch, that a worker sent. Raises RemoteProtocolError."""
    return [from_worker(one) for item in items for one in _unpack(item)]


def _unpack(item: object) -> Sequence[object]:
    return item if type(item) is list and item and type(item[0]) is list else (item,)


def _update_item(update: StateUpdate) -> object:
    match update:
        case Unchanged():
            return "unchanged"
        case Deferred():
            return "deferred"
        case Changed(state):
            return ["changed", state]


def _read(item: object, readers: Mapping[int, tuple[int, Callable[[list[object]], _T]]]) -> _T:
    if type(item) is not list or not item or type(item[0]) is not int:
        broken("a frame must be an array that starts with its tag")
    arity, reader = readers.get(item[0], (0, None))
    if reader is None:
        broken(f"unknown frame tag {item[0]}")
    if len(item) != arity:
        broken(f"frame {item[0]} has {len(item)} fields instead of {arity}")
    return reader(item)


def _read_start(item: list[object]) -> Start:
    _, actor, path, sha256, limits, seed, state = item
    return Start(
        read_typed(actor, str, "actor"),
        read_typed(path, str, "compiled_path"),
        read_octets(sha256, HASH_BYTES, "component_sha256"),
        _read_limits(limits),
        read_octets(seed, SEED_BYTES, "seed"),
        read_state(state),
    )


def _read_limits(value: object) -> Limits:
    names = [field.name for field in fields(Limits)]
    if type(value) is not list or len(value) != len(names):
        broken(f"limits must be an array of {len(names)}")
    try:
        return Limits(*map(read_count, value, names))
    except ValueError as exc:
        raise RemoteProtocolError(str(exc)) from exc


def _read_deliver(item: list[object]) -> Deliver:
    _, delivery, connection, kind, at_us, payload = item
    if type(kind) is not str or kind not in PAYLOAD_TYPES:
        broken(f"unknown event kind {kind!r:.40}")
    return Deliver(
        read_count(delivery, "delivery"),
        read_count(connection, "connection"),
        cast(EventKind, kind),
        read_count(at_us, "at_us"),
        read_payload(kind, payload),
    )


def _read_ready(item: list[object]) -> Ready:
    _, sha256, exports_init, sandbox_level = item
    if read_count(sandbox_level, "sandbox_level") > MAX_SANDBOX_LEVEL:
        broken("sandbox_level is out of range")
    return Ready(
        read_octets(sha256, HASH_BYTES, "component_sha256"),
        read_typed(exports_init, bool, "exports_init"),
        cast(int, sandbox_level),
    )


def _read_result(item: list[Any]) -> Result:
    """Read a Result, one for every event: plain type tests in a row."""
    _, delivery, outcome, detail, pairs, state_hash, update = item
    if type(outcome) is not str or outcome not in _OUTCOMES:
        broken(f"unknown outcome {outcome!r:.40}")
    if (detail is None) != (outcome == "ok"):
        broken("detail goes with every outcome but ok")
    if type(delivery) is not int or not 0 <= delivery < 1 << 63:
        read_count(delivery, "delivery")
    if state_hash is not None and (type(state_hash) is not bytes or len(state_hash) != HASH_BYTES):
        read_octets(state_hash, HASH_BYTES, "state_hash")
    replies = _read_replies(pairs)
    updated = _read_update(update)
    reason = None if detail is None else _read_detail(detail)
    if reason is not None and (replies or isinstance(updated, Changed)):
        broken(f"outcome {outcome} with replies or a new state")
    return Result(delivery, cast(Outcome, outcome), reason, replies, state_hash, updated)


def _read_detail(value: object) -> str:
    detail = read_typed(value, str, "detail")
    if len(detail) > MAX_DETAIL_CHARS:
        broken(f"a detail of {len(detail)} characters")
    return detail


def _read_replies(pairs: object) -> tuple[Reply, ...]:
    return tuple([_read_reply(pair) for pair in read_typed(pairs, list, "replies")])


def _read_reply(pair: object) -> Reply:
    if type(pair) is not list or len(pair) != 2:
        broken("a reply must be an array of 2")
    kind, payload = pair
    if type(kind) is not str or kind not in _REPLY_KINDS:
        broken(f"unknown reply kind {kind!r:.40}")
    if type(payload) is not PAYLOAD_TYPES[kind]:
        read_payload(kind, payload)
    return Reply(cast(ReplyKind, kind), payload)


def _read_update(value: object) -> StateUpdate:
    match value:
        case "unchanged":
            return UNCHANGED
        case "deferred":
            return DEFERRED
        case ["changed", state]:
            return Changed(read_state(state))
        case _:
            raise RemoteProtocolError("unknown state update")


_TO_WORKER: Final[dict[int, tuple[int, Callable[[list[object]], ToWorker]]]] = {
    1: (7, _read_start),
    2: (6, _read_deliver),
    3: (1, lambda _: Stop()),
    4: (4, lambda item: read_start2(item, lambda plain: _read(plain, {1: (7, _read_start)}))),
    5: (6, read_deliver2),
}
_FROM_WORKER: Final[dict[int, tuple[int, Callable[[list[object]], FromWorker]]]] = {
    16: (4, _read_ready),
    17: (7, _read_result),
    18: (8, lambda item: read_result2(item, _read_update)),
}
