"""What was read of clients and is not the actor's yet: events that wait for room, messages that go on. Pure.

A connection's own share is bounded in its Inbox and its MessageAssembler, that of all connections here too.
"""

from collections import deque
from collections.abc import Callable
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
    def held_bytes(self) -> int:
        """How much they are."""
        return self._held_bytes

    @property
    def next_size(self) -> int:
        """The size of the oldest event's payload."""
        payload = self._events[0][1]
        return len(payload) if payload else 0

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


class ReceiveBudget:
    """What all connections together may hold of what they have read: `held_bytes` of `max_bytes`.

    `peak_bytes` is the most that there was since somebody last set it.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self.peak_bytes = 0
        self._holders: dict[Callable[[], None], int] = {}

    @property
    def is_tight(self) -> bool:
        """True when who has something waiting shall read no more."""
        return 2 * self.held_bytes >= self.max_bytes

    def note(self, give_up: Callable[[], None], held_bytes: int) -> None:
        """Say what one connection holds now; beyond the bound, `give_up` of who holds most is called.

        That one drops what it holds, and says so here.
        """
        self.held_bytes += held_bytes - self._holders.pop(give_up, 0)
        if self.held_bytes > self.peak_bytes:
            self.peak_bytes = self.held_bytes
        if held_bytes:
            self._holders[give_up] = held_bytes
        if self.held_bytes > self.max_bytes:
            max(self._holders, key=self._holders.__getitem__)()
