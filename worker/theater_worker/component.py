"""The actor's component: loaded, bound by name, called, and its instance replaced when it is beyond use.

One place turns everything a guest can do in a call into an outcome. State belongs to the caller; nothing of a
call is kept here but the guest's own memory. Calls go through `Route`, whose signature is all a faster way
across the boundary has to keep.
"""

import contextlib
import hashlib
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from wasmtime import Engine, Store, Trap, WasmtimeError
from wasmtime.component import Component, Func, Instance, Linker

from theater_protocol.messages import MAX_DETAIL_CHARS, EventKind, Limits, Reply, payload_bytes
from theater_worker.errors import ComponentError, UnreadableError
from theater_worker.interface import HANDLE_MESSAGE, INIT, Interface, read_interface
from theater_worker.output import GuestOutput
from theater_worker.replies import GuestMessage, misplaced, to_replies
from theater_worker.route import Answer, OverLimit, PublicRoute, Route, State
from theater_worker.shim.binary import Unsupported
from theater_worker.shim.call import ShimRoute, is_shim
from theater_worker.shim.layout import Layout, layout_of
from theater_worker.shim.naming import export_name, read_reason
from theater_worker.stdio import log
from theater_worker.time_limit import TimeLimit
from theater_worker.wasi import VirtualWasi
from theater_worker.wording import trap_reason

# A component is several core instances around one memory. CPython needs the most: what it has, and room.
MAX_INSTANCES: Final = 256
MAX_TABLES: Final = 32
MAX_MEMORIES: Final = 4
MAX_TABLE_ELEMENTS: Final = 1 << 20

_MAX_BACKTRACE_LINES: Final = 60


@dataclass(frozen=True, slots=True)
class Ok:
    """The guest returned: its new state and the replies that can be sent."""

    state: State
    replies: tuple[Reply, ...]


@dataclass(frozen=True, slots=True)
class Err:
    """The guest returned its error string."""

    detail: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The guest was stopped in mid-call: its instance is beyond use."""

    outcome: Literal["trap", "timeout"]
    detail: str


Outcome = Ok | Err | Stopped


class ActorComponent:
    """A compiled component and, from instantiate() on, a living instance of it.

    Raises UnreadableError or ComponentError from the start when the file cannot be read, is not compiled code
    for this engine, or does not fit the interface. No code of the guest runs before instantiate().
    """

    def __init__(self, engine: Engine, path: str, limits: Limits, seed: bytes, time_limit: TimeLimit) -> None:
        self._engine = engine
        self._limits = limits
        self._seed = seed
        self._time_limit = time_limit
        self._component = _load(engine, path)
        self._interface = _fitting_interface(self._component, engine)
        self._shim_layout = _shim_layout(self._component, self._interface, engine)
        if self._shim_layout is None:
            reason = read_reason(Path(path)) or "it was compiled without it"
            log("E", f"this component runs without the fast call path: {reason}")
        self._told_misplaced = False  # to the author, about this instance
        self._output = GuestOutput(log)
        self._wasi = VirtualWasi(self._output)
        self._linker = Linker(engine)
        self._wasi.define(self._linker, self._interface.imports)
        self._linker.define_unknown_imports_as_traps(self._component)

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
        self._wasi.now_us = at_us
        try:
            answer = self._limited_call(state, kind, text, data)
        except (WasmtimeError, Trap) as exc:
            return self._stopped(str(exc))
        except OverLimit as exc:
            return Err(str(exc))
        # The boundary of a guest's failure: what else is raised here is the worker's error, and named so.
        except Exception:
            self._wasi.failure = traceback.format_exc()
            return self._stopped("")
        finally:
            self._output.end_call()
        if isinstance(answer, str):
            return Err(answer if len(answer) <= MAX_DETAIL_CHARS else f"{answer[: MAX_DETAIL_CHARS - 1]}…")
        if not self._told_misplaced and (line := misplaced(answer[1])):
            self._told_misplaced = True
            log("E", line)
        return _checked(kind, *answer, self._limits)

    def instantiate(self) -> None:
        """Make the first instance, which may run code of the guest. Raises ComponentError."""
        self._route: Route = self._instantiate()

    def replace_instance(self) -> None:
        """Drop the instance and make a fresh one, whose seed is the SHA-256 of the one before.

        Raises ComponentError when that fails.
        """
        self._seed = hashlib.sha256(self._seed).digest()
        # The old memory goes before the new one comes.
        self._store.close()
        self._route = self._instantiate()

    def _limited_call(self, state: State, kind: EventKind, text: str | None, data: bytes | None) -> Answer:
        self._expired = False
        self._time_limit.begin()
        try:
            return self._route.call(state, kind, text, data)
        finally:
            if self._time_limit.end():
                self._expired = True
                # The epoch only moves when a call expires, so the deadline is set anew then, not per call
                # (0.6 µs). It may have moved for a call that was just over.
                self._store.set_epoch_deadline(1)

    def _instantiate(self) -> Route:
        self._store = Store(self._engine)
        self._store.set_limits(
            memory_size=self._limits.memory_bytes,
            table_elements=MAX_TABLE_ELEMENTS,
            instances=MAX_INSTANCES,
            tables=MAX_TABLES,
            memories=MAX_MEMORIES,
        )
        self._wasi.begin_instance(self._seed)
        self._told_misplaced = False
        self._store.set_epoch_deadline(1)
        self._time_limit.begin()
        try:
            instance = self._linker.instantiate(self._store, self._component)
        except (WasmtimeError, Trap) as exc:
            log("E", self._wasi.failure or _shortened(str(exc)))
            reason = trap_reason(str(exc), tuple(self._output.last_errors))
            raise ComponentError(f"the component cannot be instantiated: {reason}") from exc
        finally:
            self._time_limit.end()
            self._output.end_call()
        return self._bind(instance)

    def _bind(self, instance: Instance) -> Route:
        interface = self._interface
        handle = self._function(instance, interface.server, HANDLE_MESSAGE)
        init = self._function(instance, interface.actor, INIT) if interface.actor else None
        public = PublicRoute(self._store, handle, init, interface.is_variant)
        if self._shim_layout is None:
            return public
        shim = instance.get_func(self._store, export_name())
        assert shim is not None  # as the component's own types say
        return ShimRoute(self._store, shim, self._shim_layout, public, self._limits)

    def _function(self, instance: Instance, interface: str, name: str) -> Func:
        index = self._component.get_export_index(name, self._component.get_export_index(interface))
        function = instance.get_func(self._store, index) if index else None
        if function is None:
            raise ComponentError(f"the component has lost its export {interface} {name}")
        return function

    def _stopped(self, message: str) -> Stopped:
        """Tell from wasmtime's message why the call stopped, and log all of it."""
        if self._wasi.failure:
            log("E", self._wasi.failure.rstrip("\n"))
            return Stopped("trap", "an error in the worker itself, see its log")
        reason = trap_reason(message, tuple(self._output.last_errors))
        if self._expired and reason == "wasm trap: interrupt":
            return Stopped("timeout", f"no result within {self._time_limit.limit_s:g} s")
        log("E", _shortened(message))
        return Stopped("trap", reason)


def _load(engine: Engine, path: str) -> Component:
    try:
        with Path(path).open("rb"):
            return Component.deserialize_file(engine, path)
    except OSError as exc:
        raise UnreadableError(f"the compiled component cannot be read: {exc}") from exc
    except WasmtimeError as exc:
        reason = trap_reason(str(exc))
        raise ComponentError(
            f"{path} is not compiled code for this worker; compile the component again: {reason}"
        ) from exc


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


def _shortened(message: str) -> str:
    lines = message.rstrip("\n").split("\n")
    if len(lines) <= _MAX_BACKTRACE_LINES:
        return message.rstrip("\n")
    half = _MAX_BACKTRACE_LINES // 2
    return "\n".join([*lines[:half], f"    … {len(lines) - 2 * half} lines …", *lines[-half:]])
