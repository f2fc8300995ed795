"""A way into one instance of a component of interface 2, and the one that takes every shape of it.

Routes carry an event to the guest and its answer back; what an answer means is component.py's matter. A
faster way must answer exactly as this one does.
"""

from typing import Protocol

from wasmtime import Store
from wasmtime.component import Func

from theater_protocol.interface2.effects import Effect
from theater_protocol.interface2.events import Event
from theater_worker.interface2.binding import Binding
from theater_worker.interface2.values import lift, lower
from theater_worker.interface2.words import plain_event, read_effects
from theater_worker.route import State

Answer2 = tuple[State, tuple[Effect, ...]] | str


class Route2(Protocol):
    """A way into one instance."""

    def handle(self, now_us: int, state: State, event: Event, attachment: str) -> Answer2:
        """Give the guest one event; the state after it and its effects, or its error string.

        Raises Undeliverable for an event that the component has no case for, and what wasmtime raises when
        the guest is stopped.
        """


class PublicRoute2:
    """The way through wasmtime's own component API, for every shape of the interface."""

    def __init__(self, store: Store, handle: Func, binding: Binding) -> None:
        assert binding.result is not None  # without problems
        self._store = store
        self._handle = handle
        _, self._state_type, self._event_type = binding.parameters
        self._result_type = binding.result

    def handle(self, now_us: int, state: State, event: Event, attachment: str) -> Answer2:
        """See Route2."""
        given = lower(self._event_type, plain_event(event, attachment))
        answer = self._handle(self._store, now_us, lower(self._state_type, state), given)
        case, payload = lift(self._result_type, answer)
        if case == "err":
            return str(payload)
        (update, replaced), effects = payload
        return (state if update == "keep" else replaced), read_effects(effects)
