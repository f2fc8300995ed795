"""Test actors of interface 2: compiled, in this process or in a worker's."""

from pathlib import Path

from wasmtime.component import Component

from tests.components import build
from tests.unit.worker.process import LIMITS, SEED
from theater_protocol.interface2.ledger import Ledger2
from theater_protocol.messages import LedgerLimits, Limits, Start, Start2
from theater_supervisor.files import write_atomically
from theater_worker.engine import new_engine
from theater_worker.interface2.component import HandlerComponent
from theater_worker.time_limit import TimeLimit


def compiled(actor: str) -> Path:
    """Build and compile a test actor, or find it; return the file of its code."""
    wasm = build(actor)
    code = wasm.with_suffix(".cwasm")
    if not code.exists():
        write_atomically(code, bytes(Component(new_engine(), wasm.read_bytes()).serialize()))
    return code


def start2(actor: str, ledger: Ledger2 | None = None, limits: Limits = LIMITS) -> Start2:
    """Make the Start2 frame for a test actor."""
    plain = Start("test", str(compiled(actor)), bytes(32), limits, SEED, None)
    return Start2(plain, (ledger or Ledger2()).snapshot(), LedgerLimits())


def load(actor: str, limits: Limits = LIMITS, ledger_limits: LedgerLimits | None = None) -> HandlerComponent:
    """Make an instance of a test actor in this process, with an empty ledger."""
    engine = new_engine()
    time_limit = TimeLimit(limits.call_timeout_us / 1e6, engine.increment_epoch)
    component = HandlerComponent(
        engine, str(compiled(actor)), limits, SEED, time_limit, Ledger2(), ledger_limits or LedgerLimits()
    )
    time_limit.start()
    component.instantiate()
    return component
