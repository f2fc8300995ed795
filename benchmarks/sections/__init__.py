"""The sections of the benchmark, in the order in which they run."""

from benchmarks.figures import Section
from benchmarks.sections import (
    boundary,
    echo,
    generator,
    idle,
    large,
    scaling,
    start,
    states,
)

SECTIONS: tuple[Section, ...] = (
    echo.THROUGHPUT,
    echo.LATENCY,
    generator.GENERATOR,
    boundary.BOUNDARY,
    states.STATES,
    start.START,
    idle.IDLE,
    scaling.SCALING,
    large.LARGE,
)
