"""From event to committed reply: the part of an actor that clients meet, and the journal.

It does what the pure modules beside it decide (delivery, transition). It knows connections only as Client, a
worker only as what is fed, and nothing of frames or pipes. When there is a worker is actor.py's part.
"""

from abc import abstractmethod
from collections.abc import Sequence

import structlog
import trio

from theater_protocol.chain import Instance
from theater_protocol.messages import Deliver, EventKind, Payload, Result
from theater_supervisor.actor.clients import Clients
from theater_supervisor.actor.delivery import DeliveryWindow
from theater_supervisor.actor.dialogue import InitError
from theater_supervisor.actor.failures import Failures
from theater_supervisor.actor.histogram import Histogram
from theater_supervisor.actor.incarnation import Incarnation
from theater_supervisor.actor.output_gate import OutputGate
from theater_supervisor.actor.spec import ActorSpec
from theater_supervisor.actor.transition import is_long_to_hash, to_batch
from theater_supervisor.clock import ActorClock
from theater_supervisor.exchange import Client, MessageKind
from theater_supervisor.journal.store import Entry, Head, Journal
from theater_supervisor.logs.actor_log import ActorLog

CLOSE_TRY_AGAIN_LATER = 1013

_log = structlog.get_logger()


class EventFlow:
    """An actor's events on their way in, its replies once they are committed. Implements exchange.Service.

    Everything it must not lose is in its journal. What it has done is counted: `outcomes` of events,
    `latency` from an event's arrival to its release, `commits` of batches, `failures` of events.
    """

    def __init__(self, spec: ActorSpec, journal: Journal, log: ActorLog) -> None:
        self.commits = Histogram()
        self._spec = spec
        self._journal = journal
        self._log = log
        self._clients = Clients()
        self.failures = Failures(structlog.get_logger().bind(actor=spec.name))
        self._gate = OutputGate(self._clients, log, self.failures)
        self.outcomes, self.latency = self._gate.outcomes, self._gate.latency
        self._number = 0
        self._worker: Incarnation | None = None
        self._boundary: Entry | None = None
        self._clock = ActorClock(journal.last_at_us)
        self._next_connection = 1
        self._window = DeliveryWindow(spec.window)
        self._state_hash: bytes | None = None
        self._recover_clock()
        self._go_on_from_journal()

    # What the gateway calls (exchange.Service).

    @property
    def name(self) -> str:
        """The actor's name."""
        return self._spec.name

    @property
    @abstractmethod
    def retry_after_s(self) -> int | None:
        """None while clients are welcome, else how long a refused one should wait."""

    def connect(self, client: Client) -> int:
        """Take on an accepted client; its `connect` is queued. Returns its connection id."""
        connection = self._next_connection
        self._next_connection += 1
        if self.retry_after_s is not None:
            client.end(CLOSE_TRY_AGAIN_LATER, "try again later")
            return connection
        self._clients.add(connection, client)
        self._offer(connection, "connect", None)
        return connection

    def receive(self, connection: int, kind: MessageKind, payload: Payload) -> None:
        """Queue one event of this connection; nothing when the actor has given the connection up."""
        if connection in self._clients:
            self._offer(connection, kind, payload)

    def has_room(self, connection: int, size: int) -> bool:
        """Say whether another event of this connection fits."""
        return self._window.has_room(connection, size)

    async def room(self, connection: int, size: int) -> None:
        """Wait until another event of this connection fits."""
        await self._clients.wait(connection, lambda: self.has_room(connection, size))

    async def answered(self, connection: int) -> None:
        """Wait until every event of this connection is committed and its replies are sent."""
        await self._clients.leave(
            connection, lambda: connection not in self._clients or not self._window.pending(connection)
        )

    def disconnect(self, connection: int) -> None:
        """Queue the `close` of a connection that is gone; nothing when it was given up before."""
        if self._clients.remove(connection):
            self._offer(connection, "close", None)

    # What an operator sees.

    @property
    def queue(self) -> int:
        """How many events wait or are with the worker."""
        return len(self._window)

    def pending(self, connection: int) -> int:
        """Say how many events of this connection wait or are with the worker."""
        return self._window.pending(connection)

    @property
    def head(self) -> Head:
        """The newest committed transition."""
        return self._journal.head

    # Commits.

    async def _commit(self, results: list[Result]) -> None:
        deliveries = self._window.claim(results)
        if is_long_to_hash(results):
            batch = await trio.to_thread.run_sync(to_batch, deliveries, results, self._state_hash)
        else:
            batch = to_batch(deliveries, results, self._state_hash)
        boundary = (self._boundary,) if self._boundary is not None else ()
        began_s = trio.current_time()
        await self._journal.commit(boundary + batch.entries, batch.update)
        ended_s = trio.current_time()
        self._boundary = None
        self._state_hash = results[-1].state_hash
        # Where nothing waits behind them a client does, else the worker should not.
        # A release that takes turns must be over before anybody is told that its events are settled.
        settles_first = len(self._window) > len(deliveries) and not self._gate.takes_turns(batch)
        if settles_first:
            self._settle(len(deliveries))
        await self._gate.release(self._number, batch, self._journal.head.seq, self._now_us())
        if not settles_first:
            self._settle(len(deliveries))
        self._let_go_on(deliveries)
        self.commits.observe(ended_s - began_s)
        if deliveries[0].kind == "init" and results[0].outcome != "ok":
            raise InitError(results[0].detail)

    def _settle(self, count: int) -> None:
        """Take the oldest deliveries from the window; the worker gets what waits behind them."""
        self._window.settle(count)
        if self._worker:
            self._worker.feed()

    def _let_go_on(self, deliveries: Sequence[Deliver]) -> None:
        """Wake who waited for these to be settled."""
        # As many as there are places, longest waiting first; all when no delivery is left to wake them later.
        self._clients.wake(len(deliveries) if len(self._window) else None)
        self._clients.settled(deliver.connection for deliver in deliveries)

    # Giving up and going on.

    def _give_up_clients(self, code: int, reason: str) -> None:
        """Close every connection and drop the events, whose answers nobody can get any more."""
        self._window = DeliveryWindow(self._spec.window)
        self._clients.end_all(code, reason)

    def _go_on_from_journal(self) -> None:
        """Start from what the journal has: connections it still counts as open get their close first."""
        self._state_hash = self._journal.state_hash
        self._next_connection = max(self._next_connection, self._journal.next_connection)
        for connection in self._journal.open_connections:
            self._offer(connection, "close", None)

    # Events.

    def _offer(self, connection: int, kind: EventKind, payload: Payload) -> None:
        self._window.offer(connection, kind, self._now_us(), payload)
        if self._worker:
            self._worker.feed()

    def _now_us(self) -> int:
        return self._clock.now_us()

    def _recover_clock(self) -> None:
        """Go back to the wall clock when ahead of it; what comes next is a fresh instance."""
        if ahead_us := self._clock.recover():
            _log.warning("actor_clock_set_back", actor=self.name, by_s=ahead_us / 1_000_000)

    def _boundary_entry(self, seed: bytes) -> Entry:
        if not len(self._window):  # what came under the wrong time is not to come after the right one
            self._recover_clock()
        instance = Instance(seed, self._spec.component_sha256)
        return Entry(self._now_us(), "instance", 0, instance, "ok", (), self._journal.state_hash)
