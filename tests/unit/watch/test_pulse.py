"""Rates and latencies from counts, and the histogram that they come from."""

import pytest

from theater_supervisor.actor.histogram import BOUNDS_S, Histogram, quantile_s
from theater_supervisor.watch.pulse import Rates, Sample, rates


def counts(*durations_s: float) -> tuple[int, ...]:
    """The counts of a histogram of these durations."""
    histogram = Histogram()
    for duration_s in durations_s:
        histogram.observe(duration_s)
    return tuple(histogram.counts)


def test_a_histogram_counts_by_upper_bound() -> None:
    """A duration belongs to the first bound that it does not exceed; what exceeds all has its own place."""
    assert len(counts()) == len(BOUNDS_S) + 1
    assert counts(0.0, 0.0005)[0] == 2
    assert counts(0.00051)[1] == 1
    assert counts(31.0)[-1] == 1
    histogram = Histogram()
    histogram.observe(0.25)
    histogram.observe(0.5)
    assert histogram.total_s == 0.75


def test_quantiles() -> None:
    """Between the bounds of the bucket, none without observations, the last bound above all of them."""
    assert quantile_s(counts(), 0.99) is None
    assert quantile_s(counts(0.001, 0.001), 0.5) == pytest.approx(0.00075)
    assert quantile_s(counts(*[0.001] * 99, 4.0), 0.99) == pytest.approx(0.001)
    assert quantile_s(counts(*[0.001] * 98, 4.0, 4.0), 0.99) == pytest.approx(3.75)
    assert quantile_s(counts(99.0), 0.5) == BOUNDS_S[-1]


def test_rates_are_differences_over_time() -> None:
    """Only what happened between the samples counts; without time between them there are no rates."""
    before = Sample(10.0, 100, 50, counts(4.0), 3)
    now = Sample(20.0, 200, 250, counts(4.0, 0.001, 0.001), 18)
    seen = rates(before, now)
    assert (seen.received_per_s, seen.sent_per_s, seen.errors_per_s) == (10.0, 20.0, 1.5)
    assert seen.p99_s == pytest.approx(0.00099, rel=0.01)
    assert rates(now, now) == Rates()
