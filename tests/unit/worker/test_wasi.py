"""The virtual WASI's functions that CPython does not call, through a component of their types."""

import pytest
from wasmtime import Engine, Store, WasmtimeError, wat2wasm
from wasmtime.component import Component, Linker

from theater_worker.engine import new_engine
from theater_worker.output import GuestOutput
from theater_worker.wasi import VirtualWasi

# Imports a function without parameters and exports it again as `run`; a tuple comes back through memory.
NUMBER = """
(component
  (import "{interface}" (instance $wasi (export "{function}" (func (result u64)))))
  (core func $wasi (canon lower (func $wasi "{function}")))
  (core module $code
    (import "wasi" "run" (func $wasi (result i64)))
    (func (export "run") (result i64) (call $wasi)))
  (core instance $code (instantiate $code (with "wasi" (instance (export "run" (func $wasi))))))
  (func (export "run") (result u64) (canon lift (core func $code "run"))))
"""
PAIR = """
(component
  (import "{interface}" (instance $wasi (export "{function}" (func (result (tuple u64 u64))))))
  (core module $memory (memory (export "memory") 1))
  (core instance $memory (instantiate $memory))
  (alias core export $memory "memory" (core memory $memory))
  (core func $wasi (canon lower (func $wasi "{function}") (memory $memory)))
  (core module $code
    (import "wasi" "run" (func $wasi (param i32)))
    (func (export "run") (result i32) (call $wasi (i32.const 16)) (i32.const 16)))
  (core instance $code (instantiate $code (with "wasi" (instance (export "run" (func $wasi))))))
  (func (export "run") (result (tuple u64 u64)) (canon lift (core func $code "run") (memory $memory))))
"""


class Guest:
    """An instance of a component that calls one WASI function."""

    def __init__(self, template: str, interface: str, function: str, seed: bytes = b"seed") -> None:
        engine: Engine = new_engine()
        component = Component(engine, wat2wasm(template.format(interface=interface, function=function)))
        self.wasi = VirtualWasi(GuestOutput(lambda stream, text: None))
        self.wasi.begin_instance(seed)
        linker = Linker(engine)
        self.wasi.define(linker, [interface])
        linker.define_unknown_imports_as_traps(component)
        self._store = Store(engine)
        self._store.set_epoch_deadline(1)
        function_found = linker.instantiate(self._store, component).get_func(self._store, "run")
        assert function_found is not None
        self._run = function_found

    def run(self) -> object:
        """Call the function."""
        return self._run(self._store)


RANDOM = [
    (NUMBER, "wasi:random/random@0.2.6", "get-random-u64"),
    (NUMBER, "wasi:random/insecure@0.2.0", "get-insecure-random-u64"),
    (PAIR, "wasi:random/insecure-seed@0.2.3", "insecure-seed"),
]


@pytest.mark.parametrize(("template", "interface", "function"), RANDOM, ids=[case[2] for case in RANDOM])
def test_every_random_source_draws_from_the_seed(template: str, interface: str, function: str) -> None:
    """The same seed gives the same numbers, another seed others, and no draw repeats the last."""
    runs = [Guest(template, interface, function, seed) for seed in (b"one", b"one", b"two")]
    first, same, other = [(guest.run(), guest.run()) for guest in runs]
    assert first == same
    assert first[0] != first[1]
    assert first[0] != other[0]


def test_the_monotonic_clock_follows_the_delivery_time() -> None:
    """Before the first call it shows 0, then what now_us says, in nanoseconds."""
    guest = Guest(NUMBER, "wasi:clocks/monotonic-clock@0.2.0", "now")
    assert guest.run() == 0
    guest.wasi.now_us = 1_700_000_000_000_001
    assert guest.run() == 1_700_000_000_000_001_000


@pytest.mark.parametrize(
    "interface", ["wasi:clocks/monotonic-clock@0.3.0", "wasi:sockets/tcp@0.2.0", "wasi:unheard/of@0.2.0"]
)
def test_what_is_not_provided_traps_with_its_name(interface: str) -> None:
    """A component may import all of wasi:*; calling what is not there is the guest's trap."""
    guest = Guest(NUMBER, interface, "now")
    with pytest.raises(WasmtimeError, match=f"unknown import: `{interface}#now`"):
        guest.run()


def test_random_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that would keep the host busy traps; its numbers are named."""
    monkeypatch.setattr("theater_worker.wasi.MAX_RANDOM_BYTES", 7)
    guest = Guest(NUMBER, "wasi:random/random@0.2.0", "get-random-u64")
    with pytest.raises(WasmtimeError, match="8 random bytes at once; at most 7 are given"):
        guest.run()
    assert guest.wasi.failure is None
