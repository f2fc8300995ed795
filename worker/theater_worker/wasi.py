"""A virtual WASI 0.2: everything a guest can see of a machine, and all of it recorded or constant.

The clock shows `now_us` and stands still during a call, random numbers come from the instance's seed, there
is no environment, no file, no terminal; printed bytes become log lines. What is not defined here traps when
it is called, with its name. wasmtime's own WASI is not linked. Source: github.com/WebAssembly/WASI, 0.2.
"""

import hashlib
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from typing import Any, Final

from wasmtime import StoreContext, WasmtimeError
from wasmtime.component import Linker, Record, ResourceAny, ResourceHost, ResourceType, Variant

from theater_worker.output import GuestOutput

HostFunction = Callable[..., Any]

MAX_RANDOM_BYTES: Final = 64 * 1024  # of one request; the Web's own limit for getRandomValues
# What a guest is told it may write at once. Much more would not cross the boundary (2.66 MiB of list<u8>);
# with less, CPython would lose the rest of a long print, because unbuffered it repeats no partial write.
MAX_WRITE_BYTES: Final = 1 << 20

_ERROR, _POLLABLE, _INPUT, _OUTPUT, _TERMINAL_IN, _TERMINAL_OUT = range(1, 7)
_STDIN, _STDOUT, _STDERR = range(3)
_OK: Final = Variant("ok")  # result<_, e> needs the tagged form


class VirtualWasi:
    """The host functions of one worker; `now_us` and the seed are what changes.

    `failure` holds the traceback of an error in a host function, which the guest must not be blamed for.
    """

    def __init__(self, output: GuestOutput) -> None:
        self.now_us = 0
        self.failure: str | None = None
        self._output = output
        self._seed = b""
        self._draws = 0

    def begin_instance(self, seed: bytes) -> None:
        """Show a fresh instance its own random numbers, and the epoch as its time until the first call."""
        self.now_us = 0
        self.failure = None
        self._seed = seed
        self._draws = 0

    def define(
        self,
        linker: Linker,
        imports: Iterable[str],
        provided: Mapping[str, Mapping[str, HostFunction]] | None = None,
    ) -> None:
        """Define every interface in `imports` (exact names, with version) that is provided.

        WASI 0.2.x, and what is `provided` besides, by name without version; unknown names are left alone.
        """
        wanted = {name.partition("@")[0]: name for name in imports if _is_provided(name)}
        with linker.root() as root:
            for name, resources, functions in (*self._interfaces(), *_plain_interfaces(provided or {})):
                if name not in wanted:
                    continue
                with root.add_instance(wanted[name]) as instance:
                    for key, kind in resources.items():
                        instance.add_resource(key, ResourceType.host(kind), _forget)
                    for key, function in functions.items():
                        instance.add_func(key, self._guarded(f"{name}.{key}", function))

    def _interfaces(self) -> Iterator[tuple[str, dict[str, int], dict[str, HostFunction]]]:
        yield from self._io()
        yield from self._clocks()
        yield from self._random()
        yield from self._cli()

    def _io(self) -> Iterator[tuple[str, dict[str, int], dict[str, HostFunction]]]:
        yield "wasi:io/error", {"error": _ERROR}, {}
        yield "wasi:io/poll", {"pollable": _POLLABLE}, {}
        yield (
            "wasi:io/streams",
            {"input-stream": _INPUT, "output-stream": _OUTPUT},
            {
                "[method]output-stream.check-write": lambda _stream: MAX_WRITE_BYTES,
                "[method]output-stream.write": self._write,
                "[method]output-stream.flush": lambda _stream: _OK,
                "[method]output-stream.blocking-write-and-flush": self._write,
                "[method]output-stream.blocking-flush": lambda _stream: _OK,
            },
        )

    def _clocks(self) -> Iterator[tuple[str, dict[str, int], dict[str, HostFunction]]]:
        yield (
            "wasi:clocks/wall-clock",
            {},
            {
                "now": lambda: _datetime(self.now_us),
                "resolution": lambda: _datetime(1),
            },
        )
        yield (
            "wasi:clocks/monotonic-clock",
            {},
            {
                "now": lambda: self.now_us * 1000,
                "resolution": lambda: 1000,
            },
        )

    def _random(self) -> Iterator[tuple[str, dict[str, int], dict[str, HostFunction]]]:
        bits, number = self._random_bytes, self._random_u64
        yield "wasi:random/random", {}, {"get-random-bytes": bits, "get-random-u64": number}
        yield (
            "wasi:random/insecure",
            {},
            {"get-insecure-random-bytes": bits, "get-insecure-random-u64": number},
        )
        yield "wasi:random/insecure-seed", {}, {"insecure-seed": lambda: (number(), number())}

    def _cli(self) -> Iterator[tuple[str, dict[str, int], dict[str, HostFunction]]]:
        yield (
            "wasi:cli/environment",
            {},
            {
                "get-environment": list,
                "get-arguments": list,
                "initial-cwd": lambda: None,
            },
        )
        yield "wasi:filesystem/preopens", {}, {"get-directories": list}
        yield "wasi:cli/stdin", {}, {"get-stdin": lambda: ResourceHost.own(_STDIN, _INPUT)}
        yield "wasi:cli/stdout", {}, {"get-stdout": lambda: ResourceHost.own(_STDOUT, _OUTPUT)}
        yield "wasi:cli/stderr", {}, {"get-stderr": lambda: ResourceHost.own(_STDERR, _OUTPUT)}
        yield "wasi:cli/terminal-input", {"terminal-input": _TERMINAL_IN}, {}
        yield "wasi:cli/terminal-output", {"terminal-output": _TERMINAL_OUT}, {}
        for name in ("stdin", "stdout", "stderr"):
            yield f"wasi:cli/terminal-{name}", {}, {f"get-terminal-{name}": lambda: None}

    def _write(self, stream: int, data: bytes) -> Variant:
        self._output.write("O" if stream == _STDOUT else "E", data)
        return _OK

    def _random_bytes(self, length: int) -> bytes:
        if length > MAX_RANDOM_BYTES:
            raise WasmtimeError(f"{length} random bytes at once; at most {MAX_RANDOM_BYTES} are given")
        self._draws += 1
        return hashlib.shake_256(self._seed + self._draws.to_bytes(8, "big")).digest(length)

    def _random_u64(self) -> int:
        return int.from_bytes(self._random_bytes(8), "big")

    def _guarded(self, name: str, function: HostFunction) -> HostFunction:
        """Give `function` plain numbers for handles, and keep the blame for its own errors here.

        A borrowed handle that is neither converted nor dropped fails the call: "borrow handles still remain".
        """

        @wraps(function)
        def call(store: StoreContext, *args: Any) -> Any:  # noqa: ANN401 the types are the interface's
            try:
                return function(*(_plain(store, arg) for arg in args))
            except WasmtimeError:
                raise
            # Whatever goes wrong in here is the worker's own error; the guest only sees its call trap.
            except Exception:
                self.failure = traceback.format_exc()
                raise WasmtimeError(f"the worker failed in {name}") from None

        return call


def _plain_interfaces(
    provided: Mapping[str, Mapping[str, HostFunction]],
) -> Iterator[tuple[str, dict[str, int], Mapping[str, HostFunction]]]:
    for name, functions in provided.items():
        yield name, {}, functions


def _is_provided(name: str) -> bool:
    interface, _, wasi_version = name.partition("@")
    return not interface.startswith("wasi:") or wasi_version.startswith("0.2")


def _plain(store: StoreContext, arg: object) -> object:
    return arg.to_host(store).rep if isinstance(arg, ResourceAny) else arg


def _datetime(at_us: int) -> Record:
    seconds, microseconds = divmod(at_us, 10**6)
    moment: Any = Record()
    moment.seconds = seconds
    moment.nanoseconds = microseconds * 1000
    return moment  # type: ignore[no-any-return]


def _forget(_store: StoreContext, _number: int) -> None:
    """Drop a handle: the numbers behind them own nothing."""
