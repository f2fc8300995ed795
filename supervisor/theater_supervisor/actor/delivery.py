"""The delivery window: an actor's events, from the gateway's hands to a committed transition.

Pure: no trio, no clock. It numbers deliveries, bounds them per actor and per connection, says which ones the
worker gets next, and after a worker's death which are given to the next one and which one is to blame.
It neither sends nor commits anything.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import islice

from theater_protocol.errors import RemoteProtocolError
from theater_protocol.messages import Deliver, EventKind, Payload, Result

_EVENT_OVERHEAD_BYTES = 64
# An empty event costs the worker about as much as so many bytes do.
_TURN_OCTETS = 4096


@dataclass(frozen=True, slots=True)
class WindowLimits:
    """How much may wait, and how much of it may be with the worker at one time.

    The connection's bounds are smaller than the actor's, so that one flooder cannot starve the rest. Many
    cannot either: a payload of `small_bytes` always fits when it is the only event of its connection. What
    is in flight is passed by nobody: `in_flight_bytes` is how long the smallest event may have to wait. Of
    large ones there are `in_flight_at_least`, so that one is handled while another is committed.
    """

    actor_events: int = 2048
    actor_bytes: int = 8 * 1024 * 1024
    connection_events: int = 64
    connection_bytes: int = 1024 * 1024
    small_bytes: int = 4096
    in_flight_events: int = 256
    in_flight_bytes: int = 256 * 1024
    in_flight_at_least: int = 2
    deaths: int = 3


@dataclass(slots=True)
class _Usage:
    """What a connection, the worker or all together have; `turn` is where a connection's last one stands."""

    events: int = 0
    octets: int = 0
    turn: int = 0

    def below(self, events: int, octets: int) -> bool:
        return self.events < events and self.octets < octets


@dataclass(slots=True)
class DeliveryWindow:
    """Deliveries not committed yet. A connection's go to the worker in the order they came in.

    Connections are served in the order of arrival while the worker keeps up. What has to stay behind is
    queued fairly instead: each connection gets as many bytes served as any other that has something waiting.
    So an event of a quiet connection passes the backlog of a flood, and no connection starves.
    """

    limits: WindowLimits = field(default_factory=WindowLimits)
    _arrived: deque[Deliver] = field(default_factory=deque)
    _backlog: list[tuple[int, int, int, Deliver]] = field(default_factory=list)
    # In the order that workers got them; the first `_in_flight.events` are with the worker there is.
    _taken: deque[Deliver] = field(default_factory=deque)
    _in_flight: _Usage = field(default_factory=_Usage)
    _total: _Usage = field(default_factory=_Usage)
    _by_connection: dict[int, _Usage] = field(default_factory=dict)
    _turn: int = 0
    _taken_at_us: int = 0
    _suspects: int = 0
    _deaths: dict[int, int] = field(default_factory=dict)
    _next_delivery: int = 1

    def __len__(self) -> int:
        return self._total.events

    @property
    def in_flight(self) -> int:
        """How many deliveries the worker has and has not had committed."""
        return self._in_flight.events

    def describe_in_flight(self) -> str:
        """Say what the worker has, oldest first and without payloads: "" when it has nothing."""
        if not self._in_flight.events:
            return ""
        head = self._taken[0]
        of = f" of connection {head.connection}" if head.connection else ""
        more = f" and {self._in_flight.events - 1} more" if self._in_flight.events > 1 else ""
        return f"{head.kind}{of} (delivery {head.delivery}){more}"

    def has_room(self, connection: int, size: int) -> bool:
        """Say whether an event of this connection, with a payload of `size`, is within the bounds."""
        limits = self.limits
        usage = self._by_connection.get(connection)
        if usage is None:
            if size <= limits.small_bytes:
                return True
        elif not usage.below(limits.connection_events, limits.connection_bytes):
            return False
        return self._total.below(limits.actor_events, limits.actor_bytes)

    def pending(self, connection: int) -> int:
        """Say how many events of this connection are not committed yet."""
        usage = self._by_connection.get(connection)
        return usage.events if usage is not None else 0

    def offer(self, connection: int, kind: EventKind, at_us: int, payload: Payload = None) -> None:
        """Append an event. Never refused: who cares for the bounds asks has_room first."""
        self._arrived.append(self._admit(connection, kind, at_us, payload))

    def offer_init(self, actor: str, at_us: int) -> None:
        """Put the `init` call before everything else, unless it waits there already. Nothing is in flight."""
        if not self._head_is_init():
            self._taken.appendleft(self._admit(0, "init", at_us, actor))
            self._taken_at_us = max(self._taken_at_us, at_us)

    def take(self) -> list[Deliver]:
        """Return the deliveries that the worker gets now, in order, and count them as in flight.

        After a death the deliveries that were in flight go one at a time, so that the next death tells
        which of them is to blame. Their times never go back: one that was overtaken gets a later one.
        """
        if self._backlog:
            self._line_up()
        elif not self._arrived and self._in_flight.events == len(self._taken):
            return []
        in_flight, limits = self._in_flight, self.limits
        # Whether anything may follow init is known from its result.
        events = 1 if self._suspects or self._head_is_init() else limits.in_flight_events
        given: list[Deliver] = []
        while in_flight.events < events and (
            in_flight.octets < limits.in_flight_bytes or in_flight.events < limits.in_flight_at_least
        ):
            deliver = self._next()
            if deliver is None:
                return given
            in_flight.events += 1
            in_flight.octets += _octets(deliver)
            given.append(deliver)
        if self._arrived:
            self._line_up()
        return given

    def claim(self, results: Sequence[Result]) -> list[Deliver]:
        """Return the deliveries that these results answer, which stay in the window until settle.

        `results` are all since the last settle. Raises RemoteProtocolError unless they answer the oldest
        deliveries in flight, one by one and in order.
        """
        if len(results) > self._in_flight.events:
            raise RemoteProtocolError("a result for no delivery")
        claimed = list(islice(self._taken, len(results)))
        for deliver, result in zip(claimed, results, strict=True):
            if deliver.delivery != result.delivery:
                raise RemoteProtocolError(f"a result for {result.delivery}, expected {deliver.delivery}")
        return claimed

    def settle(self, count: int) -> None:
        """Remove the oldest `count` deliveries: they are committed."""
        for _ in range(count):
            self._release(self._taken.popleft())
        if self._suspects:
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
        head = self._taken[0]
        deaths = self._deaths[head.delivery] = self._deaths.get(head.delivery, 0) + 1
        return head if deaths >= self.limits.deaths else None

    def _head_is_init(self) -> bool:
        return bool(self._taken) and self._taken[0].kind == "init"

    def _next(self) -> Deliver | None:
        """Return what goes to the worker next: what an earlier one had, before anything new."""
        if self._in_flight.events < len(self._taken):
            return self._taken[self._in_flight.events]
        if self._backlog:
            deliver = self._next_in_turn()
        elif self._arrived:
            deliver = self._arrived.popleft()
        else:
            return None
        if deliver.at_us < self._taken_at_us:
            deliver = deliver._replace(at_us=self._taken_at_us)
        self._taken_at_us = deliver.at_us
        self._taken.append(deliver)
        return deliver

    def _line_up(self) -> None:
        """Give what has arrived its turns (start-time fair queueing: Goyal, Vin and Cheng, 1996).

        Who had nothing waiting starts now, before all who have had more than their share; of those that start
        at the same time, the smallest goes first.
        """
        for deliver in self._arrived:
            usage = self._by_connection[deliver.connection]
            start = max(self._turn, usage.turn)
            usage.turn = start + _TURN_OCTETS + _octets(deliver)
            heappush(self._backlog, (start, usage.turn, deliver.delivery, deliver))
        self._arrived.clear()

    def _next_in_turn(self) -> Deliver:
        self._turn, _, _, deliver = heappop(self._backlog)
        return deliver

    def _admit(self, connection: int, kind: EventKind, at_us: int, payload: Payload) -> Deliver:
        deliver = Deliver(self._next_delivery, connection, kind, at_us, payload)
        self._next_delivery += 1
        octets = _octets(deliver)
        usage = self._by_connection.get(connection)
        if usage is None:
            usage = self._by_connection[connection] = _Usage()
        usage.events += 1
        usage.octets += octets
        self._total.events += 1
        self._total.octets += octets
        return deliver

    def _release(self, deliver: Deliver) -> None:
        octets = _octets(deliver)
        usage = self._by_connection[deliver.connection]
        usage.events -= 1
        usage.octets -= octets
        if not usage.events:
            del self._by_connection[deliver.connection]
        self._total.events -= 1
        self._total.octets -= octets
        if self._in_flight.events:
            self._in_flight.events -= 1
            self._in_flight.octets -= octets
        if self._deaths:
            self._deaths.pop(deliver.delivery, None)


def _octets(deliver: Deliver) -> int:
    payload = deliver.payload
    return _EVENT_OVERHEAD_BYTES + len(payload) if payload else _EVENT_OVERHEAD_BYTES
