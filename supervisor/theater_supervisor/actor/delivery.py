"""The delivery window: an actor's events in order, from the gateway's hands to a committed transition.

Pure: no trio, no clock. It numbers deliveries, bounds them per actor and per connection, says which ones the
worker gets next, and after a worker's death which are given to the next one and which one is to blame.
It neither sends nor commits anything.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from theater_protocol.errors import RemoteProtocolError
from theater_protocol.messages import Deliver, EventKind, Payload, Result

_EVENT_OVERHEAD_BYTES = 64


@dataclass(frozen=True, slots=True)
class WindowLimits:
    """How much may wait, and how much of it may be with the worker at one time.

    The connection's bounds are smaller than the actor's, so that one flooder cannot starve the rest.
    """

    actor_events: int = 2048
    actor_bytes: int = 32 * 1024 * 1024
    connection_events: int = 64
    connection_bytes: int = 2 * 1024 * 1024
    in_flight_events: int = 256
    in_flight_bytes: int = 4 * 1024 * 1024
    deaths: int = 3


@dataclass(slots=True)
class _Usage:
    events: int = 0
    octets: int = 0

    def add(self, octets: int) -> None:
        self.events += 1
        self.octets += octets

    def remove(self, octets: int) -> None:
        self.events -= 1
        self.octets -= octets

    def below(self, events: int, octets: int) -> bool:
        return self.events < events and self.octets < octets


@dataclass(slots=True)
class _Pending:
    deliver: Deliver
    octets: int
    deaths: int = 0


@dataclass(slots=True)
class DeliveryWindow:
    """Deliveries not committed yet, oldest first; the first `in_flight` of them are with the worker."""

    limits: WindowLimits = field(default_factory=WindowLimits)
    _queue: deque[_Pending] = field(default_factory=deque)
    _total: _Usage = field(default_factory=_Usage)
    _by_connection: dict[int, _Usage] = field(default_factory=dict)
    _in_flight: _Usage = field(default_factory=_Usage)
    _suspects: int = 0
    _next_delivery: int = 1

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def in_flight(self) -> int:
        """How many deliveries the worker has and has not had committed."""
        return self._in_flight.events

    def describe_in_flight(self) -> str:
        """Say what the worker has, oldest first and without payloads: "" when it has nothing."""
        if not self._in_flight.events:
            return ""
        head = self._queue[0].deliver
        of = f" of connection {head.connection}" if head.connection else ""
        more = f" and {self._in_flight.events - 1} more" if self._in_flight.events > 1 else ""
        return f"{head.kind}{of} (delivery {head.delivery}){more}"

    def has_room(self, connection: int) -> bool:
        """Say whether another event of this connection is within the bounds."""
        if not self._total.below(self.limits.actor_events, self.limits.actor_bytes):
            return False
        usage = self._by_connection.get(connection)
        return usage is None or usage.below(self.limits.connection_events, self.limits.connection_bytes)

    def pending(self, connection: int) -> int:
        """Say how many events of this connection are not committed yet."""
        usage = self._by_connection.get(connection)
        return usage.events if usage is not None else 0

    def offer(self, connection: int, kind: EventKind, at_us: int, payload: Payload = None) -> None:
        """Append an event. Never refused: who cares for the bounds asks has_room first."""
        self._queue.append(self._admit(connection, kind, at_us, payload))

    def offer_init(self, actor: str, at_us: int) -> None:
        """Put the `init` call before everything else, unless it waits there already."""
        if not (self._queue and self._queue[0].deliver.kind == "init"):
            self._queue.appendleft(self._admit(0, "init", at_us, actor))

    def has_sendable(self) -> bool:
        """Say whether take would return something."""
        return self._sendable_count(self._in_flight.events) > 0

    def take(self) -> list[Deliver]:
        """Return the deliveries that the worker gets now, in order, and count them as in flight.

        After a death the deliveries that were in flight go one at a time, so that the next death tells
        which of them is to blame.
        """
        taken: list[Deliver] = []
        while self._sendable_count(self._in_flight.events):
            pending = self._queue[self._in_flight.events]
            self._in_flight.add(pending.octets)
            taken.append(pending.deliver)
        return taken

    def claim(self, results: Sequence[Result]) -> list[Deliver]:
        """Return the deliveries that these results answer, which stay in the window until settle.

        `results` are all since the last settle. Raises RemoteProtocolError unless they answer the oldest
        deliveries in flight, one by one and in order.
        """
        if len(results) > self._in_flight.events:
            raise RemoteProtocolError("a result for no delivery")
        claimed = [self._queue[index].deliver for index in range(len(results))]
        for deliver, result in zip(claimed, results, strict=True):
            if deliver.delivery != result.delivery:
                raise RemoteProtocolError(f"a result for {result.delivery}, expected {deliver.delivery}")
        return claimed

    def settle(self, count: int) -> None:
        """Remove the oldest `count` deliveries: they are committed."""
        for _ in range(count):
            pending = self._queue.popleft()
            self._release(pending)
            if self._in_flight.events:
                self._in_flight.remove(pending.octets)
        self._suspects = max(0, self._suspects - count)

    def worker_lost(self, *, blame: bool) -> Deliver | None:
        """Take back what was in flight, for the next worker; return the delivery to quarantine, if any.

        With `blame` the oldest in flight is charged with the death; at `limits.deaths` it is returned, and
        stays first until the caller has settled it.
        """
        lost = self._in_flight.events
        self._in_flight = _Usage()
        if not lost or not blame:
            return None
        self._suspects = max(self._suspects, lost)
        head = self._queue[0]
        head.deaths += 1
        return head.deliver if head.deaths >= self.limits.deaths else None

    def _sendable_count(self, in_flight: int) -> int:
        if in_flight >= len(self._queue):
            return 0
        # Whether anything may follow init is known from its result.
        if self._suspects or self._queue[0].deliver.kind == "init":
            return 1 if in_flight == 0 else 0
        return 1 if self._in_flight.below(self.limits.in_flight_events, self.limits.in_flight_bytes) else 0

    def _admit(self, connection: int, kind: EventKind, at_us: int, payload: Payload) -> _Pending:
        octets = _EVENT_OVERHEAD_BYTES + (len(payload) if payload else 0)
        deliver = Deliver(self._next_delivery, connection, kind, at_us, payload)
        self._next_delivery += 1
        self._total.add(octets)
        self._by_connection.setdefault(connection, _Usage()).add(octets)
        return _Pending(deliver, octets)

    def _release(self, pending: _Pending) -> None:
        connection = pending.deliver.connection
        usage = self._by_connection[connection]
        usage.remove(pending.octets)
        if not usage.events:
            del self._by_connection[connection]
        self._total.remove(pending.octets)
