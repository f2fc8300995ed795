"""One actor: takes events from the gateway, keeps a worker on them, releases replies once committed.

It does what the pure modules beside it decide (delivery, restart, transition). It knows connections only as
Client, and nothing of frames or pipes. Everything it must not lose is in its journal.
"""

import itertools
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
import trio

from theater_protocol.chain import Instance
from theater_protocol.messages import (
    Deliver,
    EventKind,
    Limits,
    Payload,
    Ready,
    Result,
    Start,
    Unchanged,
)
from theater_supervisor.actor.delivery import DeliveryWindow, WindowLimits
from theater_supervisor.actor.incarnation import Deadlines, Doorbell, Exit, Incarnation, InitFailed
from theater_supervisor.actor.logs import ActorLog
from theater_supervisor.actor.process import WORKER_COMMAND
from theater_supervisor.actor.restart import Backoff
from theater_supervisor.actor.transition import Batch, to_batch
from theater_supervisor.exchange import Client, MessageKind
from theater_supervisor.journal.store import Entry, Journal, JournalFailed

CLOSE_INTERNAL_ERROR = 1011
CLOSE_TRY_AGAIN_LATER = 1013
RETRY_AFTER_S = 5

_RECOVERY_BACKOFF = Backoff(initial_s=0.5, max_s=10.0)


@dataclass(frozen=True, slots=True)
class ActorSpec:
    """What an actor runs: its compiled component and the limits of a call."""

    name: str
    compiled_path: str
    component_sha256: bytes
    limits: Limits
    deadlines: Deadlines = field(default_factory=Deadlines)
    window: WindowLimits = field(default_factory=WindowLimits)
    backoff: Backoff = field(default_factory=Backoff)
    command: Sequence[str] = WORKER_COMMAND


class Actor:
    """A named component with state. Implements exchange.Service; `run` it in a nursery."""

    def __init__(self, spec: ActorSpec, journal: Journal, log: ActorLog) -> None:
        self._spec = spec
        self._journal = journal
        self._log = log
        self._event_log = structlog.get_logger().bind(actor=spec.name)
        self._clients: dict[int, Client] = {}
        self._room_waiters: dict[int, trio.Event] = {}
        self._bell = Doorbell()
        self._stopping = trio.Event()
        self._unavailable = False
        self._number = 0
        self._worker: Incarnation | None = None
        self._ready = trio.Event()
        self._fruitless = 0
        self._boundary: Entry | None = None
        self._last_at_us = journal.last_at_us
        self._next_connection = 1
        self._window = DeliveryWindow(spec.window)
        self._state_hash: bytes | None = None
        self._resume()

    # What the gateway calls (exchange.Service).

    @property
    def name(self) -> str:
        """The actor's name."""
        return self._spec.name

    @property
    def retry_after_s(self) -> int | None:
        """None while clients are welcome, else how long a refused one should wait."""
        return RETRY_AFTER_S if self._unavailable or self._stopping.is_set() else None

    def connect(self, client: Client) -> int:
        """Take on an accepted client; its `connect` is queued. Returns its connection id."""
        connection = self._next_connection
        self._next_connection += 1
        if self.retry_after_s is not None:
            client.end(CLOSE_TRY_AGAIN_LATER, "try again later")
            return connection
        self._clients[connection] = client
        self._offer(connection, "connect", None)
        return connection

    def receive(self, connection: int, kind: MessageKind, payload: Payload) -> None:
        """Queue one event of this connection; nothing when the actor has given the connection up."""
        if connection in self._clients:
            self._offer(connection, kind, payload)

    def has_room(self, connection: int) -> bool:
        """Say whether another event of this connection fits."""
        return self._window.has_room(connection)

    async def room(self, connection: int) -> None:
        """Wait until another event of this connection fits."""
        while not self._window.has_room(connection):
            waiter = self._room_waiters.setdefault(connection, trio.Event())
            await waiter.wait()

    def disconnect(self, connection: int) -> None:
        """Queue the `close` of a connection that is gone; nothing when it was given up before."""
        if self._clients.pop(connection, None) is not None:
            self._offer(connection, "close", None)
        if waiter := self._room_waiters.pop(connection, None):
            waiter.set()

    # What the application calls.

    @property
    def worker_pid(self) -> int | None:
        """The process id of the worker that runs now, if one does."""
        return self._worker.pid if self._worker else None

    async def wait_ready(self) -> None:
        """Wait until a worker has been ready for the first time."""
        await self._ready.wait()

    async def run(self) -> None:
        """Keep a worker on the events until stop; each one that ends is replaced."""
        while True:
            ended = await self._run_worker()
            if self._stopping.is_set() and not len(self._window):
                return
            await self._after(ended)

    def stop(self) -> None:
        """Take no more clients, handle what is queued, then end the worker: `run` returns."""
        self._stopping.set()
        if self._worker:
            self._worker.stop()

    # Workers.

    async def _run_worker(self) -> Exit:
        self._number += 1
        seed = secrets.token_bytes(32)
        start = Start(
            self._spec.name,
            self._spec.compiled_path,
            self._spec.component_sha256,
            self._spec.limits,
            seed,
            self._journal.state,
        )
        self._boundary = self._boundary_entry(seed)
        self._worker = Incarnation(
            self._number,
            start,
            self._window,
            self._bell,
            self._commit,
            self._log,
            self._spec.deadlines,
            self._spec.command,
        )
        self._worker.stopping = self._stopping.is_set()
        try:
            return await self._worker.run(self._on_ready)
        # The actor is the failure boundary: a mistake of ours in here must not take other actors along.
        except Exception as exc:
            self._event_log.exception("actor_broken", incarnation=self._number)
            return Exit(f"internal error: {exc}")
        finally:
            self._worker = None

    def _on_ready(self, ready: Ready) -> None:
        self._ready.set()
        self._event_log.info("worker_ready", incarnation=self._number, pid=self.worker_pid)
        if ready.exports_init and not self._journal.initialised:
            self._window.offer_init(self._spec.name, self._now_us())

    async def _after(self, ended: Exit) -> None:
        """Settle what a worker's end leaves behind and wait before the next one."""
        self._fruitless += 1
        if ended.journal_failure is not None:
            await self._recover_journal(ended.journal_failure)
            return
        poison = self._window.worker_lost(blame=ended.blame)
        if poison is not None:
            try:
                await self._quarantine(poison)
            except JournalFailed as exc:
                await self._recover_journal(exc)
                return
        delay_s = self._spec.backoff.delay_s(self._fruitless - 1)
        self._event_log.warning(
            "worker_ended", incarnation=self._number, reason=ended.reason, next_try_s=delay_s
        )
        with trio.move_on_after(delay_s):
            await self._stopping.wait()

    # Commits.

    async def _commit(self, results: list[Result]) -> None:
        deliveries = self._window.claim(results)
        batch = to_batch(deliveries, results, self._state_hash)
        boundary = (self._boundary,) if self._boundary is not None else ()
        await self._journal.commit(boundary + batch.entries, batch.update)
        self._boundary = None
        self._state_hash = results[-1].state_hash
        self._settle(len(results))
        self._release(batch)
        if deliveries[0].kind == "init" and results[0].outcome != "ok":
            raise InitFailed(results[0].detail)
        self._fruitless = 0

    def _release(self, batch: Batch) -> None:
        """Let out what a committed batch did: the only place where replies leave an actor."""
        for deliver, result in zip(batch.deliveries, batch.results, strict=True):
            if result.outcome == "ok":
                client = self._clients.get(deliver.connection) if result.replies else None
                if client is not None:
                    client.send(result.replies)
            else:
                self._fail(deliver, result.outcome, result.detail or "")
            if self._log.debug:
                digest = result.state_hash.hex() if result.state_hash else "none"
                text = f"delivery {deliver.delivery} {deliver.kind} {result.outcome} state {digest}"
                self._log.note(self._number, text)

    def _fail(self, deliver: Deliver, outcome: str, detail: str) -> None:
        where = f"{deliver.kind} of connection {deliver.connection}" if deliver.connection else deliver.kind
        self._log.mark(self._number, f"{outcome} on {where}: {detail}")
        if client := self._clients.get(deliver.connection):
            client.end(CLOSE_INTERNAL_ERROR, "internal error")

    async def _quarantine(self, deliver: Deliver) -> None:
        """Record a delivery that its workers died on, and go on with the next."""
        entry = Entry(
            deliver.at_us, deliver.kind, deliver.connection, deliver.payload, "poison", (), self._state_hash
        )
        await self._journal.commit((entry,), Unchanged())
        self._settle(1)
        self._event_log.error("delivery_quarantined", connection=deliver.connection, kind=deliver.kind)
        self._fail(deliver, "poison", f"{self._spec.window.deaths} workers in a row died on it")

    def _settle(self, count: int) -> None:
        self._window.settle(count)
        self._bell.ring()
        # As many as there are places, longest waiting first; all when no delivery is left to wake them later.
        wake = count if len(self._window) else len(self._room_waiters)
        for connection in list(itertools.islice(self._room_waiters, wake)):
            self._room_waiters.pop(connection).set()

    # The journal's failures.

    async def _recover_journal(self, failure: JournalFailed) -> None:
        """Close every connection, wait until the journal works again, go on from what it has."""
        self._unavailable = True
        self._event_log.error("journal_failed", reason=str(failure))
        self._log.mark(self._number, f"stopped: {failure}")
        clients, self._clients = self._clients, {}
        for client in clients.values():
            client.end(CLOSE_INTERNAL_ERROR, "internal error")
        self._window = DeliveryWindow(self._spec.window)
        self._wake_all_waiters()
        for attempt in itertools.count(1):
            with trio.move_on_after(_RECOVERY_BACKOFF.delay_s(attempt)):
                await self._stopping.wait()
                return
            try:
                await self._journal.recover()
            except JournalFailed as exc:
                self._event_log.warning("journal_still_failing", reason=str(exc))
                continue
            self._event_log.info("journal_recovered")
            self._resume()
            self._unavailable = False
            return

    def _resume(self) -> None:
        """Start from what the journal has: connections it still counts as open get their close first."""
        self._window = DeliveryWindow(self._spec.window)
        self._state_hash = self._journal.state_hash
        self._next_connection = max(self._next_connection, self._journal.next_connection)
        for connection in self._journal.open_connections:
            self._offer(connection, "close", None)

    def _wake_all_waiters(self) -> None:
        waiters, self._room_waiters = self._room_waiters, {}
        for waiter in waiters.values():
            waiter.set()

    # Events.

    def _offer(self, connection: int, kind: EventKind, payload: Payload) -> None:
        self._window.offer(connection, kind, self._now_us(), payload)
        self._bell.ring()

    def _now_us(self) -> int:
        """Unix time that never goes back, so that an actor's clock does not either."""
        self._last_at_us = max(self._last_at_us, time.time_ns() // 1000)
        return self._last_at_us

    def _boundary_entry(self, seed: bytes) -> Entry:
        instance = Instance(seed, self._spec.component_sha256)
        return Entry(self._now_us(), "instance", 0, instance, "ok", (), self._journal.state_hash)
