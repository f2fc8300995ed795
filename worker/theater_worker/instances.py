"""An actor's component and the instance of it that lives: made, bounded, stopped, replaced.

One place turns everything a guest can do in a call into an outcome. What is called, and what an answer means,
is that of the interface's version: component.py, interface2/component.py.
"""

import hashlib
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeVar

from wasmtime import Engine, Store, Trap, WasmtimeError
from wasmtime.component import Component, Func, Instance, Linker

from theater_protocol.messages import MAX_DETAIL_CHARS, Limits
from theater_worker.errors import ComponentError, UnreadableError
from theater_worker.output import GuestOutput
from theater_worker.route import OverLimit
from theater_worker.stdio import log
from theater_worker.time_limit import TimeLimit
from theater_worker.wasi import HostFunction, VirtualWasi
from theater_worker.wording import trap_reason

# A component is several core instances around one memory. CPython needs the most: what it has, and room.
MAX_INSTANCES: Final = 256
MAX_TABLES: Final = 32
MAX_MEMORIES: Final = 4
MAX_TABLE_ELEMENTS: Final = 1 << 20

_MAX_BACKTRACE_LINES: Final = 60

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Err:
    """The guest returned its error string."""

    detail: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The guest was stopped in mid-call: its instance is beyond use."""

    outcome: Literal["trap", "timeout"]
    detail: str


class Instances(ABC):
    """A compiled component and, from instantiate() on, a living instance of it.

    No code of the guest runs before instantiate().
    """

    def __init__(
        self, engine: Engine, component: Component, limits: Limits, seed: bytes, time_limit: TimeLimit
    ) -> None:
        self._engine = engine
        self._component = component
        self._limits = limits
        self._seed = seed
        self._time_limit = time_limit
        self._output = GuestOutput(log)
        self._wasi = VirtualWasi(self._output)

    def _link(self, imports: list[str], provided: Mapping[str, Mapping[str, HostFunction]]) -> None:
        """Give the component what it imports; `provided` is what is not WASI, by interface."""
        self._linker = Linker(self._engine)
        self._wasi.define(self._linker, imports, provided)
        self._linker.define_unknown_imports_as_traps(self._component)

    @property
    def exports_init(self) -> bool:
        """Whether there is an `init` to be called while there is no state yet."""
        return False

    @abstractmethod
    def _bind(self, instance: Instance) -> None:
        """Take the functions of a fresh instance that are to be called."""

    def instantiate(self) -> None:
        """Make the first instance, which may run code of the guest. Raises ComponentError."""
        self._instantiate()

    def replace_instance(self) -> None:
        """Drop the instance and make a fresh one, whose seed is the SHA-256 of the one before.

        Raises ComponentError when that fails.
        """
        self._seed = hashlib.sha256(self._seed).digest()
        # The old memory goes before the new one comes.
        self._store.close()
        self._instantiate()

    def _run(self, at_us: int, call: Callable[..., _T], *arguments: object) -> _T | Err | Stopped:
        """Run a call of the guest at the time `at_us` (µs, Unix): what it returns, or comes to instead."""
        self._wasi.now_us = at_us
        try:
            return self._limited(call, *arguments)
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

    def _limited(self, call: Callable[..., _T], *arguments: object) -> _T:
        self._expired = False
        self._time_limit.begin()
        try:
            return call(*arguments)
        finally:
            if self._time_limit.end():
                self._expired = True
                # The epoch only moves when a call expires, so the deadline is set anew then, not per call
                # (0.6 µs). It may have moved for a call that was just over.
                self._store.set_epoch_deadline(1)

    def _instantiate(self) -> None:
        self._store = Store(self._engine)
        self._store.set_limits(
            memory_size=self._limits.memory_bytes,
            table_elements=MAX_TABLE_ELEMENTS,
            instances=MAX_INSTANCES,
            tables=MAX_TABLES,
            memories=MAX_MEMORIES,
        )
        self._wasi.begin_instance(self._seed)
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
        self._bind(instance)

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


def load(engine: Engine, path: str) -> Component:
    """Load compiled code. Raises UnreadableError, or ComponentError for code of another engine."""
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


def _shortened(message: str) -> str:
    lines = message.rstrip("\n").split("\n")
    if len(lines) <= _MAX_BACKTRACE_LINES:
        return message.rstrip("\n")
    half = _MAX_BACKTRACE_LINES // 2
    return "\n".join([*lines[:half], f"    … {len(lines) - 2 * half} lines …", *lines[-half:]])


def shortened_detail(detail: str) -> str:
    """Cut an error string of any length to what a frame takes."""
    return detail if len(detail) <= MAX_DETAIL_CHARS else f"{detail[: MAX_DETAIL_CHARS - 1]}…"
