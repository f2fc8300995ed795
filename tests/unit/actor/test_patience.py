"""The deadline that moves with every message: times only, on a clock that jumps."""

import math

import pytest
import trio
from trio.testing import MockClock

from theater_supervisor.actor.patience import Patience


def ends_at_s(steps: list[tuple[float, float]]) -> float:
    """Return when the patience ends that gets each step's second time at its first; infinity for never."""

    async def main() -> float:
        patience = Patience()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(patience.run)
            with patience.scope:
                for at_s, until_s in steps:
                    await trio.sleep_until(at_s)
                    patience.until(until_s)
                await trio.sleep_until(1000)
            nursery.cancel_scope.cancel()
        return trio.current_time() if patience.scope.cancelled_caught else math.inf

    return trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize(
    ("steps", "end_s"),
    [
        ([], math.inf),
        ([(0, 10)], 10),
        ([(0, 10), (5, 15), (12, 22)], 22),
        ([(0, 10), (5, 7)], 7),
        ([(0, 10), (5, math.inf)], math.inf),
        ([(0, 10), (5, math.inf), (8, 18)], 18),
        ([(0, 10), (5, math.inf), (20, 30)], 30),
        ([(0, 10), (5, 25), (6, 26), (7, 9)], 9),
        ([(3, 2)], 3),
    ],
    ids=[
        "never set",
        "set once",
        "moved on before each time",
        "moved earlier",
        "taken back",
        "taken back and set anew before the alarm",
        "taken back and set anew after the alarm",
        "moved on and earlier",
        "passed when set",
    ],
)
def test_patience_ends_at_the_time_given_last(steps: list[tuple[float, float]], end_s: float) -> None:
    """However the time moved before, what runs within the scope is cancelled then and not before."""
    assert ends_at_s(steps) == end_s
