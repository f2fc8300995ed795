"""What was read ahead of the actor: events that wait for room, in order and within bounds. Pure."""

from collections import deque
from typing import Final

from theater_protocol.messages import Payload
from theater_supervisor.exchange import MessageKind

_EVENT_OVERHEAD_BYTES: Final = 64


class Inbox:
    """Events that came while there was no room for them."""

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._held_bytes = 0
        self._events: deque[tuple[MessageKind, Payload]] = deque()

    def __len__(self) -> int:
        return len(self._events)

    @property
    def is_full(self) -> bool:
        """True when nothing more shall be read ahead."""
        return len(self._events) >= self._max_events or self._held_bytes >= self._max_bytes

    def put(self, kind: MessageKind, payload: str | bytes) -> None:
        """Keep an event."""
        self._events.append((kind, payload))
        self._held_bytes += _EVENT_OVERHEAD_BYTES + len(payload)

    def pop(self) -> tuple[MessageKind, Payload]:
        """Return the oldest event."""
        kind, payload = self._events.popleft()
        self._held_bytes -= _EVENT_OVERHEAD_BYTES + (len(payload) if payload else 0)
        return kind, payload

    def clear(self) -> None:
        """Drop them all."""
        self._events.clear()
        self._held_bytes = 0
