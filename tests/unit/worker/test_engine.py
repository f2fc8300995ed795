"""The engine's settings, by what compiled code does: the same bits everywhere, no threads, bounded stores."""

import struct
from pathlib import Path

import pytest
import wasmtime

from tests.unit.worker.process import LIMITS, SEED
from tests.unit.worker.shim.spelling import ENUM, spelled
from theater_worker import instances as limits_of
from theater_worker.compile import compile_component
from theater_worker.component import ActorComponent
from theater_worker.engine import new_engine
from theater_worker.errors import ComponentError
from theater_worker.time_limit import TimeLimit

# A NaN with a payload, which arithmetic keeps on some machines and not on others.
ADD_NAN = """(module (func (export "add") (result i32)
  (i32.reinterpret_f32 (f32.add (f32.const nan:0x200001) (f32.const 1)))))"""
CANONICAL_NAN = 0x7FC00000


def added_nan(engine: wasmtime.Engine) -> int:
    """The bits of that sum."""
    store = wasmtime.Store(engine)
    store.set_epoch_deadline(1)
    instance = wasmtime.Instance(store, wasmtime.Module(engine, ADD_NAN), [])
    add = instance.exports(store)["add"]
    assert isinstance(add, wasmtime.Func)
    bits: int = add(store)
    return struct.unpack("=I", struct.pack("=i", bits))[0]  # type: ignore[no-any-return]


def test_every_nan_is_the_same() -> None:
    """Whatever a machine makes of a payload; without the setting this one keeps it."""
    assert added_nan(new_engine()) == CANONICAL_NAN
    assert added_nan(wasmtime.Engine()) != CANONICAL_NAN


@pytest.mark.parametrize(
    "text",
    [
        "(module (memory 1 1 shared))",
        "(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))",
        "(module (memory 1) (func (memory.atomic.notify (i32.const 0) (i32.const 1)) drop))",
    ],
    ids=["shared memory", "atomics", "notify"],
)
def test_there_are_no_threads(text: str) -> None:
    """What only threads need does not compile, though it is well-formed."""
    with pytest.raises(wasmtime.WasmtimeError, match=r"threads|shared"):
        wasmtime.Module(new_engine(), text)
    wasmtime.Module(wasmtime.Engine(), text)


def module(body: str, times: int = 1) -> str:
    """Core instances to add to a component."""
    instances = " ".join("(core instance (instantiate $more))" for _ in range(times))
    return f"(core module $more {body}) {instances}"


@pytest.mark.parametrize(
    ("more", "refused"),
    [
        (module(f"(table {limits_of.MAX_TABLE_ELEMENTS + 1} funcref)"), "table minimum size"),
        (module("(table 1 funcref)", limits_of.MAX_TABLES + 1), "table count"),
        (module("(memory 1)", limits_of.MAX_MEMORIES + 1), "memory count"),
        (module("", limits_of.MAX_INSTANCES + 1), "instance count"),
        (module(f"(memory {(LIMITS.memory_bytes >> 16) + 1})"), "memory minimum size"),
    ],
    ids=["table elements", "tables", "memories", "instances", "memory"],
)
def test_a_component_that_is_too_large_is_refused(tmp_path: Path, more: str, refused: str) -> None:
    """It is said which limit it is over, before anything of it runs."""
    path = tmp_path / "large.wasm"
    path.write_bytes(spelled(("ty", "text", "data"), ENUM, more=more))
    report = compile_component(tmp_path / "cache", path)
    assert report.compiled_path is not None, report.problems
    engine = new_engine()
    actor = ActorComponent(engine, report.compiled_path, LIMITS, SEED, TimeLimit(5.0, engine.increment_epoch))
    with pytest.raises(ComponentError, match=f"cannot be instantiated: .*{refused}"):
        actor.instantiate()
