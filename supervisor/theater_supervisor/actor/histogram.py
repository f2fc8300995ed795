"""Counting how long something took: one bisection for each observation, read when somebody asks.

Pure numbers; what they are called and who is shown them is done elsewhere.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

BOUNDS_S: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)  # fmt: skip


class Histogram:
    """Durations by upper bound; `counts` has one more place than BOUNDS_S, for those above all of them."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.total_s = 0.0

    def observe(self, took_s: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS_S, took_s)] += 1
        self.total_s += took_s


def quantile_s(counts: Sequence[int], share: float) -> float | None:
    """Return the duration that `share` of the observations did not exceed; None without any.

    It lies between the bounds of its bucket, on a straight line; above all bounds it is the last bound.
    """
    rank = share * sum(counts)
    if not rank:
        return None
    below, lower_s = 0, 0.0
    for count, upper_s in zip(counts, BOUNDS_S, strict=False):
        if below + count >= rank:
            return lower_s + (upper_s - lower_s) * (rank - below) / count
        below, lower_s = below + count, upper_s
    return BOUNDS_S[-1]
