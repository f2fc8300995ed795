"""One actor: takes events from the gateway, keeps a worker on them, releases replies once committed.

It does what the pure modules beside it decide (delivery, restart, transition). It knows connections only as
Client, and nothing of frames or pipes. Everything it must not lose is in its journal.
"""

import itertools
import secrets
import time
from collections.abc import Sequence

import structlog
import trio

from theater_protocol.chain import Instance
from theater_protocol.messages import UNCHANGED, Deliver, EventKind, Payload, Ready, Result
from theater_supervisor.actor.clients import Clients
from theater_supervisor.actor.delivery import DeliveryWindow
from theater_supervisor.actor.doorbell import Doorbell
from theater_supervisor.actor.histogram import Histogram
from theater_supervisor.actor.incarnation import Incarnation, InitError
from theater_supervisor.actor.lifecycle import RETRY_AFTER_S, Lifecycle
from theater_supervisor.actor.output_gate import CLOSE_INTERNAL_ERROR, OutputGate
from theater_supervisor.actor.restart import Hold, backoff_s
from theater_supervisor.actor.spec import ActorSpec
from theater_supervisor.actor.transition import to_batch
from theater_supervisor.exchange import Client, MessageKind
from theater_supervisor.journal.store import Entry, Head, Journal, JournalFailed
from theater_supervisor.logs.actor_log import ActorLog
from theater_supervisor.process.exit import LINES_KEPT, Exit, ResultsNotStored, SupervisorFault

CLOSE_GOING_AWAY = 1001
CLOSE_TRY_AGAIN_LATER = 1013


class Actor:
    """A named component with state. Implements exchange.Service; `run` it in a nursery.

    `starts` bounds how many workers, of all actors that share it, are being started at one time. What it has
    done is counted: `outcomes` of events, `latency` from an event's arrival to its release, `commits` of
    batches.
    """

    def __init__(
        self, spec: ActorSpec, journal: Journal, log: ActorLog, starts: trio.CapacityLimiter | None = None
    ) -> None:
        self.commits = Histogram()
        self.sandbox_level: int | None = None
        self._spec = spec
        self._journal = journal
        self._log = log
        self._event_log = structlog.get_logger().bind(actor=spec.name)
        self.lifecycle = Lifecycle(spec.restart, self._event_log)
        self._clients = Clients()
        self._gate = OutputGate(self._clients, log)
        self.outcomes, self.latency = self._gate.outcomes, self._gate.latency
        self._bell = Doorbell()
        self._stopping = trio.Event()
        self._failed = trio.Event()
        self._starts = starts or trio.CapacityLimiter(1)
        self._number = 0
        self._worker: Incarnation | None = None
        self._ready = trio.Event()
        self._boundary: Entry | None = None
        self._last_at_us = journal.last_at_us
        self._next_connection = 1
        self._window = DeliveryWindow(spec.window)
        self._state_hash: bytes | None = None
        self._go_on_from_journal()

    # What the gateway calls (exchange.Service).

    @property
    def name(self) -> str:
        """The actor's name."""
        return self._spec.name

    @property
    def retry_after_s(self) -> int | None:
        """None while clients are welcome, else how long a refused one should wait."""
        return RETRY_AFTER_S if self._stopping.is_set() else self.lifecycle.retry_after_s

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

    # What the application calls.

    @property
    def incarnation(self) -> int:
        """The number of the newest worker, 0 before the first."""
        return self._number

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

    @property
    def worker_ready_s(self) -> float | None:
        """For how long the worker has been ready, None when there is none."""
        return self._worker.ready_s if self._worker else None

    @property
    def worker_pid(self) -> int | None:
        """The process id of the worker that runs now, if one does."""
        return self._worker.pid if self._worker else None

    async def wait_ready(self) -> None:
        """Wait until a worker has been ready for the first time."""
        await self._ready.wait()

    async def wait_failed(self) -> None:
        """Wait until the actor is held although its manifest calls it critical."""
        await self._failed.wait()

    async def run(self) -> None:
        """Keep a worker on the events until stop; each one that ends is replaced as the policy says."""
        while await self._worker_due():
            self.lifecycle.starting()
            await self._after(await self._run_worker())

    def stop(self) -> None:
        """Take no more clients, handle what is queued, then end the worker: `run` returns."""
        self._stopping.set()
        if self._worker:
            self._worker.stop()
        elif self.lifecycle.resting:
            self.lifecycle.wake()
        else:
            self.lifecycle.try_now()

    def pause(self) -> None:
        """Close every connection, handle what is queued, then end the worker, until resume."""
        self.lifecycle.pause()
        for connection in self._clients.end_all(CLOSE_GOING_AWAY, "the actor was stopped"):
            self._offer(connection, "close", None)
        if self._worker:
            self._worker.stop()

    def resume(self) -> None:
        """Start the actor again after pause, with no death held against it."""
        self.lifecycle.resume()
        if self._worker:
            self._worker.stop(drain=False)

    def reset(self) -> None:
        """Forget all deaths; an actor that waits, is held or has ended starts afresh."""
        self.lifecycle.reset()

    def restart_worker(self) -> None:
        """Replace the worker once it has answered what it has in hand; without one, start one now."""
        if self._worker:
            self._worker.stop(drain=False)
        else:
            self.lifecycle.try_now()

    def change(self, spec: ActorSpec) -> None:
        """Be as `spec`, of the same name, says from now on; clients stay.

        A worker whose component or limits are others is replaced once it has answered what it has in hand;
        an actor that had none starts afresh.
        """
        before, self._spec = self._spec, spec
        self.lifecycle.change(spec.restart)
        if spec.runs_like(before):
            return
        if self._worker:
            self._worker.stop(drain=False)
        else:
            self.lifecycle.reset()

    # Workers.

    async def _worker_due(self) -> bool:
        """Wait until a worker is to be started; False when there will be none any more."""
        while True:
            if self._stopping.is_set() and (self.lifecycle.resting or not len(self._window)):
                return False
            if self.lifecycle.due():
                return True
            await self.lifecycle.wait()

    async def _run_worker(self) -> Exit:
        self._number += 1
        seed = secrets.token_bytes(32)
        self._boundary = self._boundary_entry(seed)
        self._worker = Incarnation(
            self._number,
            self._spec,
            self._spec.start_frame(seed, self._journal.state),
            self._window,
            self._bell,
            self._commit,
            self._log,
            self._starts,
        )
        if self._stopping.is_set():
            self._worker.stop()
        try:
            return await self._worker.run(self._on_ready)
        # The actor is the failure boundary: a mistake of ours in here must not take other actors along.
        except Exception as exc:
            self._event_log.exception("actor_broken", incarnation=self._number)
            return Exit(SupervisorFault(str(exc) or repr(exc)))
        finally:
            self._worker = None

    def _on_ready(self, ready: Ready) -> None:
        self._ready.set()
        self.lifecycle.ready()
        self.sandbox_level = ready.sandbox_level
        self._event_log.info(
            "worker_ready",
            incarnation=self._number,
            pid=self.worker_pid,
            sandbox_level=ready.sandbox_level,
        )
        if ready.exports_init and not self._journal.initialised:
            self._window.offer_init(self._spec.name, self._now_us())

    async def _after(self, ended: Exit) -> None:
        """Settle what a worker's end leaves behind, and take up what is decided about the next one."""
        lines = self._log.last_lines(self._number, LINES_KEPT)
        decision = self.lifecycle.ended(self._number, ended, self._window.describe_in_flight(), lines)
        if isinstance(ended.how, ResultsNotStored):
            await self._recover_journal(ended.how.failure)
        elif poison := self._window.worker_lost(blame=ended.blame):
            await self._quarantine(poison)
        # Without clients the events stay: what was charged for deaths is not forgotten from probe to probe.
        if self.lifecycle.resting and len(self._clients):
            self._give_up_clients(CLOSE_TRY_AGAIN_LATER, "try again later")
            self._go_on_from_journal()
        if isinstance(decision, Hold) and self._spec.restart.critical:
            self._failed.set()

    # Commits.

    async def _commit(self, results: list[Result]) -> None:
        deliveries = self._window.claim(results)
        batch = to_batch(deliveries, results, self._state_hash)
        boundary = (self._boundary,) if self._boundary is not None else ()
        began_s = trio.current_time()
        await self._journal.commit(boundary + batch.entries, batch.update)
        ended_s = trio.current_time()
        self._boundary = None
        self._state_hash = results[-1].state_hash
        # Where nothing waits behind them a client does, else the worker should not.
        settles_first = len(self._window) > len(deliveries)
        if settles_first:
            self._settle(len(deliveries))
        self._gate.release(self._number, batch, self._now_us())
        if not settles_first:
            self._settle(len(deliveries))
        self._let_go_on(deliveries)
        self.commits.observe(ended_s - began_s)
        if deliveries[0].kind == "init" and results[0].outcome != "ok":
            raise InitError(results[0].detail)

    async def _quarantine(self, deliver: Deliver) -> None:
        """Record a delivery that its workers died on, and go on with the next."""
        entry = Entry(
            deliver.at_us, deliver.kind, deliver.connection, deliver.payload, "poison", (), self._state_hash
        )
        try:
            await self._journal.commit((entry,), UNCHANGED)
        except JournalFailed as exc:
            await self._recover_journal(exc)
            return
        self._settle(1)
        self._let_go_on([deliver])
        self._event_log.error("delivery_quarantined", connection=deliver.connection, kind=deliver.kind)
        detail = f"{self._spec.window.deaths} workers in a row died on it"
        self._gate.fail(self._number, deliver, "poison", detail)

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

    # The journal's failures.

    async def _recover_journal(self, failure: Exception) -> None:
        """Close every connection, wait until the journal works again, go on from what it has."""
        self.lifecycle.recovering()
        self._event_log.error("journal_failed", reason=str(failure))
        self._log.mark(self._number, f"stopped: {failure}")
        self._give_up_clients(CLOSE_INTERNAL_ERROR, "internal error")
        for attempt in itertools.count(1):
            with trio.move_on_after(backoff_s(attempt, initial_s=0.5, factor=2, max_s=10)):
                await self._stopping.wait()
                return
            try:
                await self._journal.recover()
            except JournalFailed as exc:
                self._event_log.warning("journal_still_failing", reason=str(exc))
                continue
            self._event_log.info("journal_recovered")
            self._go_on_from_journal()
            self.lifecycle.recovered()
            return

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
        """Unix time that never goes back, so that an actor's clock does not either."""
        self._last_at_us = max(self._last_at_us, time.time_ns() // 1000)
        return self._last_at_us

    def _boundary_entry(self, seed: bytes) -> Entry:
        instance = Instance(seed, self._spec.component_sha256)
        return Entry(self._now_us(), "instance", 0, instance, "ok", (), self._journal.state_hash)
