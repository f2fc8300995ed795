"""Awake or asleep: the quicker way is taken, and the other is tried often enough to notice a change."""

from collections import Counter

import pytest

from theater_supervisor.awake import Trial

WAITS = 2000


def ways(trial: Trial, awake_s: float, asleep_s: float) -> Counter[bool]:
    """How many of WAITS waits were spent either way, where they take so long."""
    taken: Counter[bool] = Counter()
    for number in range(WAITS):
        taken[trial.is_awake] += 1
        odd = 50 if number % 5 == 0 else 1  # one in five takes very long, whatever is done
        trial.learn((awake_s if trial.is_awake else asleep_s) * odd)
    return taken


@pytest.mark.parametrize("better", [True, False], ids=["awake", "asleep"])
def test_the_quicker_way_is_taken_nearly_always(better: bool) -> None:
    """However long odd waits take; the other way has less than a fifth."""
    taken = ways(Trial(), *((1.0, 1.2) if better else (1.2, 1.0)))
    assert taken[better] > 0.8 * WAITS
    assert taken[not better] > 0


def test_a_machine_that_becomes_busy_is_noticed() -> None:
    """What was better before is left soon, and taken again when it is better again."""
    trial = Trial()
    ways(trial, 1.0, 1.2)
    assert ways(trial, 5.0, 1.2)[False] > 0.8 * WAITS
    assert ways(trial, 1.0, 1.2)[True] > 0.6 * WAITS
