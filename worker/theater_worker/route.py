"""A way into one instance of a component, and the one that takes every shape of the interface.

Routes carry an event to the guest and its answer back; what an answer means is component.py's matter. The
other route is in shim/call.py: it must answer exactly as this one does.
"""

from typing import Any, Protocol

from wasmtime import Store
from wasmtime.component import Func, Record, Variant

from theater_protocol.messages import EventKind
from theater_worker.replies import GuestMessage

State = bytes | None
Answer = tuple[State, list[GuestMessage]] | str


class OverLimit(Exception):
    """The guest's answer is larger than it may be; the instance is as good as before."""


class Route(Protocol):
    """A way into one instance."""

    def call(self, state: State, kind: EventKind, text: str | None, data: bytes | None) -> Answer:
        """Give the guest one event (init: its name in `text`); its state and messages, or its error string.

        Raises what wasmtime raises when the guest is stopped, and may raise OverLimit.
        """


class PublicRoute:
    """The way through wasmtime's own component API, for every shape of the interface."""

    def __init__(self, store: Store, handle_message: Func, init: Func | None, is_variant: bool) -> None:
        self._store = store
        self._handle_message = handle_message
        self._init = init
        self._is_variant = is_variant

    def call(self, state: State, kind: EventKind, text: str | None, data: bytes | None) -> Answer:
        """See Route."""
        if kind == "init" and self._init is not None:
            answer = self._init(self._store, state, (text,))
            return answer if isinstance(answer, str) else (answer[0], [])
        message: Any = Record()
        message.ty = Variant(kind) if self._is_variant else kind
        message.text = text
        message.data = data
        answer = self._handle_message(self._store, state, (message,))
        if isinstance(answer, str):
            return answer
        new_state, (response,) = answer
        return new_state, [_guest_message(message) for message in response.messages]


def _guest_message(message: Any) -> GuestMessage:  # noqa: ANN401 the record of a guest's own type
    kind = message.ty.tag if isinstance(message.ty, Variant) else message.ty
    return GuestMessage(kind, message.text, message.data)
