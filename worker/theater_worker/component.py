"""The actor's component of version 1: bound by name, called, its answers made fit for the wire.

State belongs to the caller; nothing of a call is kept here but the guest's own memory. Calls go through
`Route`, whose signature is all a faster way across the boundary has to keep.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from wasmtime import Engine
from wasmtime.component import Component, Instance

from theater_protocol.messages import EventKind, Limits, Reply, payload_bytes
from theater_worker.errors import ComponentError
from theater_worker.instances import Err, Instances, Stopped, load, shortened_detail
from theater_worker.interface import HANDLE_MESSAGE, INIT, RUNTIME, Interface, read_interface
from theater_worker.replies import GuestMessage, misplaced, to_replies
from theater_worker.route import PublicRoute, Route, State
from theater_worker.shim.binary import Unsupported
from theater_worker.shim.call import ShimRoute, is_shim
from theater_worker.shim.layout import Layout, layout_of
from theater_worker.shim.naming import export_name, read_reason
from theater_worker.stdio import log
from theater_worker.time_limit import TimeLimit


@dataclass(frozen=True, slots=True)
class Ok:
    """The guest returned: its new state and the replies that can be sent."""

    state: State
    replies: tuple[Reply, ...]


Outcome = Ok | Err | Stopped


class ActorComponent(Instances):
    """A compiled component of version 1.

    Raises UnreadableError or ComponentError from the start when the file cannot be read, is not compiled code
    for this engine, or does not fit the interface.
    """

    def __init__(self, engine: Engine, path: str, limits: Limits, seed: bytes, time_limit: TimeLimit) -> None:
        super().__init__(engine, load(engine, path), limits, seed, time_limit)
        self._interface = _fitting_interface(self._component, engine)
        self._shim_layout = _shim_layout(self._component, self._interface, engine)
        if self._shim_layout is None:
            reason = read_reason(Path(path)) or "it was compiled without it"
            log("E", f"this component runs without the fast call path: {reason}")
        self._route: Route
        self._told_misplaced = False  # to the author, about this instance
        self._link(self._interface.imports, {RUNTIME: {"log": lambda text: self._output.line("L", text)}})

    @property
    def exports_init(self) -> bool:
        """Whether the component exports `ntwk:theater/actor` `init`."""
        return self._interface.actor is not None

    def call(
        self, at_us: int, state: State, kind: EventKind, text: str | None, data: bytes | None
    ) -> Outcome:
        """Run one event at the time `at_us` (µs, Unix) on `state`.

        After Stopped, replace_instance() must come before the next call.
        """
        answer = self._run(at_us, self._route.call, state, kind, text, data)
        if isinstance(answer, str):
            return Err(shortened_detail(answer))
        if isinstance(answer, (Err, Stopped)):
            return answer
        if not self._told_misplaced and (line := misplaced(answer[1])):
            self._told_misplaced = True
            log("E", line)
        return _checked(kind, *answer, self._limits)

    def _bind(self, instance: Instance) -> None:
        self._told_misplaced = False
        interface = self._interface
        handle = self._function(instance, interface.server, HANDLE_MESSAGE)
        init = self._function(instance, interface.actor, INIT) if interface.actor else None
        public = PublicRoute(self._store, handle, init, interface.is_variant)
        if self._shim_layout is None:
            self._route = public
            return
        shim = instance.get_func(self._store, export_name())
        assert shim is not None  # as the component's own types say
        self._route = ShimRoute(self._store, shim, self._shim_layout, public, self._limits)


def _fitting_interface(component: Component, engine: Engine) -> Interface:
    interface = read_interface(component, engine)
    if interface.problems:
        raise ComponentError("the component " + "; it ".join(interface.problems))
    return interface


def _shim_layout(component: Component, interface: Interface, engine: Engine) -> Layout | None:
    """Give the layout that the component's shim was made for; None without a shim."""
    shim = component.type.exports(engine).get(export_name())
    if shim is None or interface.message is None or not is_shim(shim.ty):
        return None
    # A component may come with an export of that name, where the compiler would not have put one.
    with contextlib.suppress(Unsupported):
        return layout_of(interface.message)
    return None


def _checked(kind: EventKind, state: State, messages: list[GuestMessage], limits: Limits) -> Outcome:
    """Make the guest's answer fit for the wire; one that is over a limit is an error."""
    if len(messages) > limits.max_replies:
        return Err(f"{len(messages)} replies are over the limit of {limits.max_replies}")
    if state is not None and len(state) > limits.max_state_bytes:
        return Err(f"a state of {len(state)} bytes is over the limit of {limits.max_state_bytes}")
    replies, refused = to_replies(kind, messages)
    size = sum(map(payload_bytes, replies))
    if size > limits.max_reply_bytes:
        return Err(f"replies of {size} bytes are over the limit of {limits.max_reply_bytes}")
    for line in refused:
        log("E", line)
    return Ok(state, replies)
