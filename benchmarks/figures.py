"""Figures: what a section measures, round by round, and what is made of it: medians, ratios, targets met.

Pure: no clock, no processes, nothing printed.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure: rounds, seconds for each load in a round, and whether to take the full counts."""

    rounds: int = 5
    seconds: float = 2.0
    full: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a row, such as a round's; `unit` is the same in all samples of the row."""

    row: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Target:
    """A bound for the median of `row`, or for its ratio to the median of `over`."""

    row: str
    bound: float
    at_least: bool = False
    over: str | None = None

    def met(self, figure: float) -> bool:
        """Tell whether a figure keeps the bound."""
        return figure >= self.bound if self.at_least else figure <= self.bound


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the benchmark: what its rows are, how they are measured, and what they should be.

    `baseline` is the row that the others are shown as a ratio of, `busy_targets` are those beside neighbours
    that want every processor.
    """

    name: str
    about: str
    measure: Callable[[Plan], Iterable[Sample]]
    targets: tuple[Target, ...] = ()
    baseline: str | None = None
    busy_targets: tuple[Target, ...] = ()


@dataclass(slots=True)
class Row:
    """A row's values in the order they were measured."""

    unit: str
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median of the values."""
        return statistics.median(self.values)


Rows = dict[str, Row]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and the figure that it is held against, None where that wasn't measured."""

    target: Target
    figure: float | None

    @property
    def met(self) -> bool | None:
        """Whether the target is met, None where that isn't known."""
        return None if self.figure is None else self.target.met(self.figure)


def collect(samples: Iterable[Sample]) -> Rows:
    """Gather samples by row, in the order in which rows first came."""
    rows: Rows = {}
    for sample in samples:
        rows.setdefault(sample.row, Row(sample.unit)).values.append(sample.value)
    return rows


def ratio(rows: Rows, row: str, over: str) -> float | None:
    """Return the ratio of two rows' medians, None where one is missing or nothing."""
    if row not in rows or over not in rows or not rows[over].median:
        return None
    return rows[row].median / rows[over].median


def verdicts(targets: Sequence[Target], rows: Rows) -> Iterator[Verdict]:
    """Hold the rows against the targets."""
    for target in targets:
        if target.over is not None:
            yield Verdict(target, ratio(rows, target.row, target.over))
        else:
            yield Verdict(target, rows[target.row].median if target.row in rows else None)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` of them do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def shown(value: float) -> str:
    """Write a figure with three digits that matter, large ones whole."""
    return f"{value:,.0f}" if abs(value) >= 100 or not value else f"{value:#.3g}".rstrip(".")


def target_text(target: Target) -> str:
    """Say a target in words."""
    sign = "≥" if target.at_least else "≤"
    return f"{sign} {shown(target.bound)}" + (f" x {target.over}" if target.over else "")
