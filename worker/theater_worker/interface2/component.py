"""The actor's component of version 2: called with events, its effects held against what is kept for it.

The ledger here mirrors the supervisor's: it fills in attachments, answers `view`, and says what may be. State
belongs to the caller. From an event whose case the component lacks nothing follows.
"""

from dataclasses import dataclass

from wasmtime import Engine
from wasmtime.component import Component, Instance

from theater_protocol.errors import RemoteProtocolError
from theater_protocol.interface2.effects import Effect
from theater_protocol.interface2.events import Disconnect, Event, Message, Timer
from theater_protocol.interface2.ledger import Ledger2, Misfit, OverLimit
from theater_protocol.messages import LedgerLimits, Limits
from theater_worker.errors import ComponentError
from theater_worker.instances import Err, Instances, Stopped, load, shortened_detail
from theater_worker.interface2.binding import Binding, read_binding
from theater_worker.interface2.model import HANDLE, LOG, VIEW
from theater_worker.interface2.route import Answer2, PublicRoute2, Route2
from theater_worker.interface2.values import Undeliverable
from theater_worker.interface2.view import View, log_functions
from theater_worker.route import State
from theater_worker.time_limit import TimeLimit

EFFECT_OVERHEAD_BYTES = 32
_NUMBER_BYTES = 9


@dataclass(frozen=True, slots=True)
class Ok2:
    """The guest returned: the state after the event, and effects that may be."""

    state: State
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A timer that an event before this one has moved or cancelled: nothing is recorded."""


Outcome2 = Ok2 | Err | Stopped | Skipped


class HandlerComponent(Instances):
    """A compiled component of version 2, and the mirror of what is kept for its actor.

    Raises UnreadableError or ComponentError from the start when the file cannot be read, is not compiled code
    for this engine, or does not fit the interface.
    """

    def __init__(
        self,
        engine: Engine,
        path: str,
        limits: Limits,
        seed: bytes,
        time_limit: TimeLimit,
        ledger: Ledger2,
        ledger_limits: LedgerLimits,
    ) -> None:
        super().__init__(engine, load(engine, path), limits, seed, time_limit)
        self.ledger = ledger
        self._ledger_limits = ledger_limits
        self._binding = _fitting_binding(self._component, engine)
        self._route: Route2
        provided = {VIEW: View(ledger).functions(), LOG: log_functions(self._output)}
        self._link([*self._binding.imports], provided)

    def call(self, at_us: int, state: State, event: Event) -> Outcome2:
        """Run one event at the time `at_us` (µs, Unix) on `state`, and take it into the ledger.

        After Stopped, replace_instance() must come before the next call. Raises RemoteProtocolError for an
        event that cannot be the next one.
        """
        if wrong := self.ledger.check(at_us, event):
            if isinstance(event, Timer):
                return Skipped()
            raise RemoteProtocolError(wrong)
        outcome = self._outcome(self._run(at_us, self._handle, at_us, state, event))
        if isinstance(outcome, Ok2):
            try:
                self.ledger.apply(at_us, event, outcome.effects, self._ledger_limits)
            except (Misfit, OverLimit) as exc:
                outcome = Err(str(exc))
            else:
                return outcome
        self.ledger.apply(at_us, event, None)
        return outcome

    def _handle(self, at_us: int, state: State, event: Event) -> Answer2:
        attachment = (
            self.ledger.attachments[event.connection] if isinstance(event, (Message, Disconnect)) else ""
        )
        try:
            return self._route.handle(at_us, state, event, attachment)
        except Undeliverable:
            return state, ()

    def _outcome(self, answer: Answer2 | Err | Stopped) -> Outcome2:
        if isinstance(answer, str):
            return Err(shortened_detail(answer))
        if isinstance(answer, (Err, Stopped)):
            return answer
        state, effects = answer
        if state is not None and len(state) > self._limits.max_state_bytes:
            return Err(f"a state of {len(state)} bytes is over the limit of {self._limits.max_state_bytes}")
        if len(effects) > self._limits.max_replies:
            return Err(f"{len(effects)} effects are over the limit of {self._limits.max_replies}")
        size = sum(map(effect_bytes, effects))
        if size > self._limits.max_reply_bytes:
            return Err(f"effects of {size} bytes are over the limit of {self._limits.max_reply_bytes}")
        return Ok2(state, effects)

    def _bind(self, instance: Instance) -> None:
        handle = self._function(instance, self._binding.handler, HANDLE)
        self._route = PublicRoute2(self._store, handle, self._binding)


def effect_bytes(effect: object) -> int:
    """Say how many bytes an effect counts as: its texts, frames and targets, and what it has besides."""
    return EFFECT_OVERHEAD_BYTES + _field_bytes(effect)


def _field_bytes(field: object) -> int:
    match field:
        case str():
            return len(field) if field.isascii() else len(field.encode())
        case bytes():
            return len(field)
        case tuple():
            return sum(map(_field_bytes, field))
        case _:
            return _NUMBER_BYTES


def _fitting_binding(component: Component, engine: Engine) -> Binding:
    binding = read_binding(component, engine)
    if binding is None:
        raise ComponentError("the component does not export ntwk:theater/handler in a version 2")
    if binding.problems:
        raise ComponentError("the component " + "; it ".join(binding.problems))
    return binding
