"""Both routes into one component, side by side: every call goes both ways and must come to the same."""

import functools
from dataclasses import replace
from pathlib import Path

from tests.components import build
from tests.unit.worker.process import LIMITS, SEED
from theater_protocol.messages import EventKind
from theater_worker.compile import Report, compile_component
from theater_worker.component import ActorComponent, Outcome, Stopped
from theater_worker.engine import new_engine
from theater_worker.time_limit import TimeLimit

CACHE = Path(__file__).parents[4] / "build" / "compiled"
MEMORY_BYTES = 256 << 20
COMPILE_TIMEOUT_S = 600  # a Python actor for both routes, on a busy machine
NOT_UTF8 = "a string of the guest is not UTF-8"


def load(
    component: Path, with_shim: bool, cache: Path = CACHE, memory_bytes: int = MEMORY_BYTES
) -> tuple[Report, ActorComponent]:
    """Compile a component for one route and make an instance in this process."""
    report = compile_component(cache, component, with_shim)
    assert report.compiled_path is not None, report.problems
    engine = new_engine()
    time_limit = TimeLimit(LIMITS.call_timeout_us / 1e6, engine.increment_epoch)
    limits = replace(LIMITS, memory_bytes=memory_bytes)
    actor = ActorComponent(engine, report.compiled_path, limits, SEED, time_limit)
    time_limit.start()
    actor.instantiate()
    return report, actor


class Routes:
    """One component, instantiated for each route."""

    def __init__(self, component: Path, cache: Path = CACHE) -> None:
        report, self._shim = load(component, True, cache)
        assert report.without_shim is None, report.without_shim
        _, self._public = load(component, False, cache)

    def call(
        self, state: bytes | None, kind: EventKind, text: str | None = None, data: bytes | None = None
    ) -> Outcome:
        """Call both, compare, and give the shim's outcome."""
        outcome, public = (_called(actor, state, kind, text, data) for actor in (self._shim, self._public))
        # Text is checked when all else was: of two things wrong, the shim may name the other one.
        if isinstance(outcome, Stopped) and isinstance(public, Stopped) and public.detail == NOT_UTF8:
            assert outcome.outcome == public.outcome
        else:
            assert outcome == public
        return outcome


def _called(
    actor: ActorComponent, state: bytes | None, kind: EventKind, text: str | None, data: bytes | None
) -> Outcome:
    outcome = actor.call(0, state, kind, text, data)
    if isinstance(outcome, Stopped):
        actor.replace_instance()
    return outcome


@functools.cache
def routes(actor: str) -> Routes:
    """Both routes into a test actor."""
    return Routes(build(actor))
