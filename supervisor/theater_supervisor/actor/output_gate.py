"""The output gate: the only place where replies leave an actor, and only those of committed transitions.

Counts what passes. What is committed, and when, is actor.py's matter; how a reply is written the gateway's.
"""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

import trio

from theater_protocol.messages import Deliver, Reply, Result
from theater_supervisor.actor.clients import Clients
from theater_supervisor.actor.failures import Failure, Failures, last_line
from theater_supervisor.actor.histogram import Histogram
from theater_supervisor.actor.transition import Batch
from theater_supervisor.exchange import new_error_id
from theater_supervisor.logs.actor_log import ActorLog

CLOSE_INTERNAL_ERROR: Final = 1011

# Replies between which the others have a turn: what worker and gateway do with so many takes a millisecond.
_PER_TURN: Final = 512
# A line in the log takes as long as so many.
_FAILURE: Final = 16


class OutputGate:
    """Lets out to `clients` what committed transitions did, and tells the log what failed.

    `outcomes` counts events by their outcome, `latency` from an event's arrival to its release.
    """

    def __init__(self, clients: Clients, log: ActorLog, failures: Failures) -> None:
        self.outcomes: Counter[str] = Counter()
        self.latency = Histogram()
        self._clients = clients
        self._log = log
        self._failures = failures

    @staticmethod
    def takes_turns(batch: Batch) -> bool:
        """Say whether the release of this batch lets others have turns meanwhile."""
        return sum(map(_work, batch.results)) > _PER_TURN

    async def release(self, incarnation: int, batch: Batch, last_seq: int, now_us: int) -> None:
        """Let out what a batch, committed up to `last_seq`, did: all of it, in order, cancelled or not."""
        ready: dict[int, list[Sequence[Reply]]] = {}
        work = 0
        first_seq = last_seq - len(batch.results) + 1
        for seq, (deliver, result) in enumerate(zip(batch.deliveries, batch.results, strict=True), first_seq):
            more = _work(result)
            if work and work + more > _PER_TURN:
                work = 0
                self._send(ready)
                await trio.lowlevel.cancel_shielded_checkpoint()
            work += more
            if result.outcome != "ok":
                self._send(ready)
                self.fail(incarnation, deliver, seq, result.outcome, result.detail or "")
            elif len(result.replies) > _PER_TURN:
                await self._send_in_parts(deliver.connection, result.replies)
            elif result.replies:
                ready.setdefault(deliver.connection, []).append(result.replies)
        self._send(ready)
        # After that, for clients wait.
        self._count(batch, now_us)
        if self._log.debug:
            self._note(incarnation, batch)

    def fail(self, incarnation: int, deliver: Deliver, seq: int, outcome: str, detail: str) -> None:
        """Tell of an event that came to nothing, its transition at `seq`, and close its connection."""
        client = self._clients.get(deliver.connection)
        error = new_error_id() if client else ""
        failure = Failure(
            time.time_ns() // 1000,
            incarnation,
            deliver.kind,
            deliver.connection,
            seq,
            outcome,
            last_line(detail),
            error,
        )
        self._log.mark(incarnation, f"{outcome} on {failure.where}: {detail}")
        self._failures.add(failure)
        if client:
            client.end(CLOSE_INTERNAL_ERROR, "internal error", error)

    def _send(self, ready: dict[int, list[Sequence[Reply]]]) -> None:
        """Give each connection what is ready for it, at one go: a write costs more than all else."""
        for connection, results in ready.items():
            if client := self._clients.get(connection):
                client.send(*results)
        ready.clear()

    async def _send_in_parts(self, connection: int, replies: Sequence[Reply]) -> None:
        if client := self._clients.get(connection):
            for _ in client.send_in_parts(replies):
                await trio.lowlevel.cancel_shielded_checkpoint()

    def _count(self, batch: Batch, now_us: int) -> None:
        for deliver, result in zip(batch.deliveries, batch.results, strict=True):
            self.outcomes[result.outcome] += 1
            self.latency.observe((now_us - deliver.at_us) / 1_000_000)

    def _note(self, incarnation: int, batch: Batch) -> None:
        for deliver, result in zip(batch.deliveries, batch.results, strict=True):
            digest = result.state_hash.hex() if result.state_hash else "none"
            text = f"delivery {deliver.delivery} {deliver.kind} {result.outcome} state {digest}"
            self._log.note(incarnation, text)


def _work(result: Result) -> int:
    return len(result.replies) if result.outcome == "ok" else _FAILURE
