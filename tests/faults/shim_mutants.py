"""A process that injects the shim into mutated components and calls what still compiles by both routes.

`python -m tests.faults.shim_mutants COMPONENT FIRST COUNT` prints a line for each mutant: its seed, then as a
JSON array what became of it, with both outcomes where both routes can be called and differ. Mutants are a
function of their seed. What they do to the process shows in how it ends.
"""

import json
import random
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from wasmtime import Engine, WasmtimeError
from wasmtime.component import Component

from tests.unit.worker.process import LIMITS, SEED
from theater_worker import component as component_module
from theater_worker.component import ActorComponent, Outcome, Stopped
from theater_worker.engine import new_engine
from theater_worker.errors import ComponentError
from theater_worker.interface import SERVER
from theater_worker.shim.binary import Unsupported
from theater_worker.shim.fit import compile_with_shim
from theater_worker.shim.inject import inject
from theater_worker.shim.layout import ENUM, VARIANT
from theater_worker.time_limit import TimeLimit

CALL_TIMEOUT_S: Final = 0.05
EVENTS: Final = (("text", "hello", None), ("binary", None, b"\0\xff"), ("close", None, None))


def mutated(component: bytes, seed: int) -> bytes:
    """Change a component as storage and linkers might: bytes, bits, pieces missing, twice or swapped."""
    source = random.Random(seed)
    changed = bytearray(component)
    for _ in range(source.choice((1, 1, 1, 2, 4))):
        at, size = source.randrange(len(changed)), source.choice((1, 1, 2, 8, 64))
        match source.randrange(6):
            case 0:
                changed[at] = source.randrange(256)
            case 1:
                changed[at] ^= 1 << source.randrange(8)
            case 2:
                changed[at] = (changed[at] + source.choice((-1, 1))) % 256
            case 3:
                del changed[at : at + size]
            case 4:
                changed[at:at] = changed[at : at + size]
            case 5:
                other = source.randrange(len(changed))
                changed[at], changed[other] = changed[other], changed[at]
        if not changed:
            break
    return bytes(changed)


class Actors:
    """Makes actors of component binaries and calls them."""

    def __init__(self, directory: Path) -> None:
        self._engine: Engine = new_engine()
        self._limit = TimeLimit(CALL_TIMEOUT_S, self._engine.increment_epoch)
        self._limit.start()
        self._directory = directory

    def compare(self, wasm: bytes) -> list[object]:
        """Say what became of a mutant: "refused", "without shim", "same", or "different" and the outcomes."""
        try:
            for layout in (ENUM, VARIANT):
                inject(wasm, SERVER, layout)
        except Unsupported:
            pass
        try:
            plain = Component(self._engine, wasm)
        except WasmtimeError:
            return ["refused"]
        shim, reason = compile_with_shim(wasm, self._engine)
        if reason is not None:
            return ["without shim"]
        outcomes = [self._outcomes(component) for component in (plain, shim)]
        return ["same"] if outcomes[0] == outcomes[1] else ["different", *outcomes]

    def _outcomes(self, component: Component) -> list[str]:
        limits = replace(LIMITS, memory_bytes=16 << 20)
        # A file of its own, because wasmtime maps it for as long as the component lives.
        with tempfile.NamedTemporaryFile(dir=self._directory) as compiled:
            compiled.write(component.serialize())
            compiled.flush()
            try:
                actor = ActorComponent(self._engine, compiled.name, limits, SEED, self._limit)
                actor.instantiate()
                return [self._outcome(actor, *event) for event in EVENTS]
            except ComponentError as exc:
                return [str(exc)]

    def _outcome(self, actor: ActorComponent, kind: str, text: str | None, data: bytes | None) -> str:
        outcome: Outcome = actor.call(0, b"\xff", kind, text, data)  # type: ignore[arg-type]
        if isinstance(outcome, Stopped):
            actor.replace_instance()
        return repr(outcome)


def main(component: Path, first: int, count: int) -> None:
    """Compare mutants and print what became of each."""
    component_module.log = lambda *_: None  # type: ignore[assignment]
    wasm = component.read_bytes()
    actors = Actors(component.parent)
    for seed in range(first, first + count):
        # Before it is tried: if it ends the process, its number is known.
        print(seed, end=" ", flush=True)
        print(json.dumps(actors.compare(mutated(wasm, seed))), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
