"""Running a recorded history again and comparing what comes of it, transition by transition.

Every recorded instance is a fresh worker with the recorded seed, component and state; it gets the recorded
inputs with their recorded times. Reads the journal, never writes it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, cast

from theater_protocol.chain import Instance, Transition
from theater_protocol.errors import RemoteProtocolError
from theater_protocol.messages import Changed, Deliver, EventKind, Limits, Payload, Result, Start
from theater_supervisor.actor.transition import Batch, committable, to_batch
from theater_supervisor.errors import SupervisorError
from theater_supervisor.journal.retention import hash_state
from theater_supervisor.replay.comparison import Divergence, compare
from theater_supervisor.replay.components import Components
from theater_supervisor.replay.history import History
from theater_supervisor.replay.scratch import ScratchWorker, scratch_worker

_BATCH: Final = 64
_NO_EVENTS: Final = ("genesis", "instance", "seal", "state")


class StateUnavailable(SupervisorError):
    """A state that is not kept and can't be had by replay."""

    exit_status = 66  # EX_NOINPUT


class ReplayFailed(SupervisorError):
    """A replay came to something else than what was recorded, so there is no state to give."""

    exit_status = 65  # EX_DATAERR

    def __init__(self, divergence: Divergence) -> None:
        super().__init__(f"the replay differs at seq {divergence.transition.seq}")
        self.divergence = divergence


@dataclass(slots=True)
class Verdict:
    """How far a replay got; it fills as the replay goes on.

    `identical` events, from `first_seq` to `last_seq`, came to what was recorded, bit for bit, in `instances`
    fresh instances; `first_seq` is None when nothing could be run. `quarantined` deliveries among them were
    not run. `unreachable` events came before `first_seq`: no state is kept that they began with.
    """

    first_seq: int | None = None
    last_seq: int = -1
    identical: int = 0
    instances: int = 0
    quarantined: int = 0
    unreachable: int = 0
    divergence: Divergence | None = None


class Replay:
    """One replay of a history. `run` it once.

    `limits` are those of a call; they are no part of the chain, so they must be the ones of the actor's
    manifest where the actor reaches them. `verdict` shows how far it got, `state` is the one after
    the last batch that was identical.
    """

    def __init__(self, actor: str, history: History, components: Components, limits: Limits) -> None:
        self.state: bytes | None = None
        self._actor = actor
        self._history = history
        self._components = components
        self._limits = limits
        self._states = dict(history.states)
        self.verdict = Verdict()

    async def run(self, since_seq: int, until_seq: int) -> Verdict:
        """Replay from the first instance at or after `since_seq` whose state is kept, up to `until_seq`.

        Stops at the first divergence. The chain must have been verified before. Raises JournalRefused,
        JournalFailed, ComponentUnusable, and OSError when the host cannot start a process.
        """
        for group in self._history.instances(since_seq, until_seq):
            first = next(group)
            if first.kind == "state":
                self._set_state(first)
            if isinstance(first.input, Instance) and first.state_hash in self._states:
                self.verdict.divergence = await self._run_instance(first, first.input, group)
                if self.verdict.divergence is not None:
                    break
            else:
                self._pass_over(first, group)
        return self.verdict

    def _pass_over(self, first: Transition, group: Iterator[Transition]) -> None:
        """Go by transitions whose instance began before the reading did, or from a state that is not kept."""
        for transition in (first, *group):
            if transition.kind not in _NO_EVENTS:
                self.verdict.unreachable += 1

    def _set_state(self, transition: Transition) -> None:
        """Take the state that an operator set; a fresh instance begins with it."""
        self.state = cast(bytes | None, transition.input)
        self._states = {**self._history.states, transition.state_hash: self.state}
        if self.verdict.first_seq is not None:
            self.verdict.last_seq = transition.seq

    async def _run_instance(
        self, first: Transition, instance: Instance, group: Iterator[Transition]
    ) -> Divergence | None:
        component = await self._components.compiled(instance.component_sha256)
        self.state = self._states[first.state_hash]
        start = Start(
            self._actor,
            str(component.path),
            component.component_sha256,
            self._limits,
            instance.seed,
            self.state,
        )
        if self.verdict.first_seq is None:
            self.verdict.first_seq = first.seq
        async with scratch_worker(start) as worker:
            if worker.failure is not None:
                return Divergence(first, None, worker.failure)
            self.verdict.instances += 1
            self.verdict.last_seq = first.seq
            while batch := list(islice(group, _BATCH)):
                divergence = await self._run_batch(worker, batch)
                if divergence is not None:
                    return divergence
        self._states = {**self._history.states, hash_state(self.state): self.state}
        return None

    async def _run_batch(self, worker: ScratchWorker, recorded: list[Transition]) -> Divergence | None:
        events = [transition for transition in recorded if transition.kind not in _NO_EVENTS]
        run = [transition for transition in events if transition.outcome != "poison"]
        deliveries = [_delivery(transition) for transition in run]
        results = await worker.answer(deliveries) if run else []
        try:
            batch = self._believe(deliveries, results)
        except RemoteProtocolError as exc:
            return Divergence(run[0], None, f"the worker broke the protocol: {exc}")
        for transition, entry, result in zip(run, batch.entries, batch.results, strict=False):
            divergence = compare(transition, entry, result.detail)
            if divergence is not None:
                return divergence
            self.verdict.identical += 1
            self.verdict.last_seq = transition.seq
        if len(batch.entries) < len(run):
            return Divergence(run[len(batch.entries)], None, worker.failure or "the worker sent no state")
        if isinstance(batch.update, Changed):
            self.state = batch.update.state
        self.verdict.quarantined += len(events) - len(run)
        self.verdict.last_seq = recorded[-1].seq
        return None

    def _believe(self, deliveries: list[Deliver], results: list[Result]) -> Batch:
        count = committable(results)
        return to_batch(deliveries[:count], results[:count], hash_state(self.state))


async def state_at(
    actor: str, history: History, seq: int, components: Components, limits: Limits
) -> bytes | None:
    """Return the state after transition `seq`: a kept one, else by replay. None is the state none.

    It has the hash that the chain records for it. Raises StateUnavailable, ReplayFailed, and what Replay.run
    raises.
    """
    transition = history.transition(seq)
    if transition is None:
        where = f"the newest is seq {history.head_seq}" if seq > history.head_seq else "retention dropped it"
        raise StateUnavailable(f"{history.path}: there is no seq {seq}: {where}")
    if transition.state_hash in history.states:
        return history.states[transition.state_hash]
    if transition.kind == "state":
        return cast(bytes | None, transition.input)
    replay = Replay(actor, history, components, limits)
    verdict = await replay.run(history.beginning(seq), seq)
    if verdict.divergence is not None:
        raise ReplayFailed(verdict.divergence)
    if hash_state(replay.state) != transition.state_hash or verdict.last_seq != seq:
        raise StateUnavailable(
            f"{history.path}: the state after seq {seq} can't be had: retention dropped the one to begin with"
        )
    return replay.state


def _delivery(transition: Transition) -> Deliver:
    """Turn a recorded event into the delivery it was; its seq is as good a delivery id as any."""
    return Deliver(
        transition.seq,
        transition.connection,
        cast(EventKind, transition.kind),
        transition.at_us,
        cast(Payload, transition.input),
    )
