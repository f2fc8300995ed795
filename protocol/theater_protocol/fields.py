"""Fields of a frame's item, each read as the one type that it may have.

What comes from the other process is trusted in nothing: whatever does not fit raises RemoteProtocolError.
Which fields a frame has is in items.py.
"""

from typing import Never, TypeVar, cast

from theater_protocol.errors import RemoteProtocolError
from theater_protocol.messages import PAYLOAD_TYPES, Payload

_T = TypeVar("_T")


def broken(message: str) -> Never:
    """Say what does not fit."""
    raise RemoteProtocolError(message)


def read_typed(value: object, expected: type[_T], field: str) -> _T:
    """Read a value of exactly this type."""
    if type(value) is not expected:
        broken(f"{field} must be {expected.__name__}, not {type(value).__name__}")
    return value


def read_count(value: object, field: str) -> int:
    """Read an unsigned number below 2**63."""
    number = read_typed(value, int, field)
    if not 0 <= number < 1 << 63:
        broken(f"{field} is out of range")
    return number


def read_octets(value: object, length: int, field: str) -> bytes:
    """Read so many bytes."""
    octets = read_typed(value, bytes, field)
    if len(octets) != length:
        broken(f"{field} must have {length} bytes, not {len(octets)}")
    return octets


def read_state(value: object) -> bytes | None:
    """Read a state's bytes, None for no state."""
    return None if value is None else read_typed(value, bytes, "state")


def read_payload(kind: str, value: object) -> Payload:
    """Read what an event, or a reply, of this kind carries."""
    if type(value) is not PAYLOAD_TYPES[kind]:
        broken(f"a {kind} payload cannot be {type(value).__name__}")
    return cast(Payload, value)


def read_text(value: object, field: str) -> str:
    """Read text."""
    return read_typed(value, str, field)


def read_optional_text(value: object, field: str) -> str | None:
    """Read text, or null."""
    return None if value is None else read_typed(value, str, field)


def read_list(value: object, field: str) -> list[object]:
    """Read an array."""
    return read_typed(value, list, field)
