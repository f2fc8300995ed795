"""One actor: keeps a worker on its events, and does what the operator and the restart policy say.

What happens to an event is flow.py's, what a worker's end means lifecycle.py's and restart.py's. It knows
nothing of frames or pipes. Everything it must not lose is in its journal.
"""

import itertools
import secrets

import structlog
import trio

from theater_protocol.messages import UNCHANGED, Deliver, Ready
from theater_supervisor.actor.doorbell import Doorbell
from theater_supervisor.actor.flow import CLOSE_TRY_AGAIN_LATER, EventFlow
from theater_supervisor.actor.incarnation import Incarnation
from theater_supervisor.actor.lifecycle import RETRY_AFTER_S, Lifecycle
from theater_supervisor.actor.output_gate import CLOSE_INTERNAL_ERROR
from theater_supervisor.actor.restart import Hold, backoff_s
from theater_supervisor.actor.spec import ActorSpec
from theater_supervisor.journal.store import Entry, Journal, JournalFailed
from theater_supervisor.logs.actor_log import ActorLog
from theater_supervisor.process.exit import LINES_KEPT, Exit, ResultsNotStored, SupervisorFault

CLOSE_GOING_AWAY = 1001


class Actor(EventFlow):
    """A named component with state; `run` it in a nursery.

    `starts` bounds how many workers, of all actors that share it, are being started at one time.
    """

    def __init__(
        self, spec: ActorSpec, journal: Journal, log: ActorLog, starts: trio.CapacityLimiter | None = None
    ) -> None:
        super().__init__(spec, journal, log)
        self.sandbox_level: int | None = None
        self._event_log = structlog.get_logger().bind(actor=spec.name)
        self.lifecycle = Lifecycle(spec.restart, self._event_log)
        self._bell = Doorbell()
        self._stopping = trio.Event()
        self._failed = trio.Event()
        self._starts = starts or trio.CapacityLimiter(1)
        self._ready = trio.Event()

    @property
    def retry_after_s(self) -> int | None:
        """None while clients are welcome, else how long a refused one should wait."""
        return RETRY_AFTER_S if self._stopping.is_set() else self.lifecycle.retry_after_s

    # What the application calls.

    @property
    def incarnation(self) -> int:
        """The number of the newest worker, 0 before the first."""
        return self._number

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
            if displaced := self._journal.displaced():
                await self._recover_journal(JournalFailed(displaced))
                continue
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
        self._gate.fail(self._number, deliver, self._journal.head.seq, "poison", detail)

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
