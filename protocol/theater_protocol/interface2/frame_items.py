"""Start2, Deliver2 and Result2 as CBOR items, in both directions.

Inputs and effects are written as in the chain, but for a frame that is the input's own: neither side looks
back for it. Batches and bytes are items.py's, a ledger's snapshot is kept.py's.
"""

from collections.abc import Callable
from dataclasses import astuple, fields
from typing import Any, Final, cast

from theater_protocol.fields import broken, read_count, read_list, read_octets, read_typed
from theater_protocol.interface2.body import connection_of, input_item, read_input
from theater_protocol.interface2.effect_items import effect_item, read_effect
from theater_protocol.interface2.events import EVENT_KINDS, Configure, Connect, Disconnect, Message, Timer
from theater_protocol.messages import (
    HASH_BYTES,
    MAX_DETAIL_CHARS,
    Changed,
    Deliver2,
    LedgerLimits,
    Outcome,
    Result2,
    Start,
    Start2,
    StateUpdate,
)

_EVENTS: Final = (Configure, Connect, Message, Disconnect, Timer)
_OUTCOMES: Final = frozenset({"ok", "err", "trap", "timeout", "skipped"})
_WITH_DETAIL: Final = frozenset({"err", "trap", "timeout"})
_NUMBER_BYTES: Final = 9


def start2_item(start: Start2, plain: list[object]) -> list[object]:
    """Return the item of a Start2; `plain` is that of the Start in it."""
    return [4, plain, start.ledger, [*astuple(start.ledger_limits)]]


def read_start2(item: list[object], read_start: Callable[[list[object]], Start]) -> Start2:
    """Read a Start2's item. Raises RemoteProtocolError when it is not one."""
    _, plain, ledger, limits = item
    counts = read_list(limits, "ledger limits")
    names = [field.name for field in fields(LedgerLimits)]
    if len(counts) != len(names):
        broken(f"ledger limits must be an array of {len(names)}")
    start = read_start(read_list(plain, "start"))
    return Start2(start, read_list(ledger, "ledger"), LedgerLimits(*map(read_count, counts, names)))


def deliver2_item(deliver: Deliver2) -> list[object]:
    """Return the item of a Deliver2."""
    delivery, at_us, event = deliver
    return [5, delivery, at_us, EVENT_KINDS[type(event)], connection_of(event), input_item(event)]


def read_deliver2(item: list[object]) -> Deliver2:
    """Read a Deliver2's item. Raises RemoteProtocolError when it is not one."""
    _, delivery, at_us, kind, connection, given = item
    event = read_input(kind, connection, given)
    if not isinstance(event, _EVENTS):
        broken(f"{kind} is no event of an actor")
    return Deliver2(read_count(delivery, "delivery"), read_count(at_us, "at_us"), event)


def result2_item(result: Result2, update: object) -> list[object]:
    """Return the item of a Result2; `update` is that of its state update."""
    delivery, outcome, detail, effects, state_hash, _, digest = result
    listed = [effect_item(effect, None) for effect in effects]
    return [18, delivery, outcome, detail, listed, state_hash, update, digest]


def read_result2(item: list[Any], read_update: Callable[[object], StateUpdate]) -> Result2:
    """Read a Result2's item. Raises RemoteProtocolError when it is not one."""
    _, delivery, outcome, detail, effects, state_hash, update, digest = item
    if type(outcome) is not str or outcome not in _OUTCOMES:
        broken(f"unknown outcome {outcome!r:.40}")
    if (detail is not None) != (outcome in _WITH_DETAIL):
        broken("detail goes with err, trap and timeout")
    if detail is not None and len(read_typed(detail, str, "detail")) > MAX_DETAIL_CHARS:
        broken(f"a detail of {len(detail)} characters")
    asked = tuple(read_effect(effect, None) for effect in read_list(effects, "effects"))
    updated = read_update(update)
    if outcome != "ok" and (asked or isinstance(updated, Changed)):
        broken(f"outcome {outcome} with effects or a new state")
    return Result2(
        read_count(delivery, "delivery"),
        cast(Outcome, outcome),
        detail,
        asked,
        None if state_hash is None else read_octets(state_hash, HASH_BYTES, "state_hash"),
        updated,
        read_octets(digest, HASH_BYTES, "digest"),
    )


def size_bytes(value: object) -> int:
    """Return about how many bytes a record's item has: its texts, bytes and numbers, all the way down."""
    match value:
        case str():
            return _NUMBER_BYTES + (len(value) if value.isascii() else len(value.encode()))
        case bytes():
            return _NUMBER_BYTES + len(value)
        case tuple() | list():
            return _NUMBER_BYTES + sum(map(size_bytes, value))
        case _:
            return _NUMBER_BYTES
