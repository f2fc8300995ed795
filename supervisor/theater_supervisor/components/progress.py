"""How far the components of a start or a reload are, for whoever wants to look: the log, `theaterctl status`.

Plain values of this moment. What is done, and in which order, is prepare.py's.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import trio

Stage = Literal["waiting", "building", "compiling", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Step:
    """One component: the actors that wait for it, what is being done, for how long, and how long it may take.

    `elapsed_s` is the time in this stage; `at_most_s` is None for stages without a limit.
    """

    component: Path
    actors: tuple[str, ...]
    stage: Stage
    elapsed_s: float
    at_most_s: float | None = None

    @property
    def under_way(self) -> bool:
        """Whether something is being done for it right now."""
        return self.stage in ("building", "compiling")


@dataclass(frozen=True, slots=True)
class _Entry:
    actors: tuple[str, ...]
    stage: Stage
    since: float
    at_most_s: float | None = None


class Progress:
    """The components being prepared; none while nothing is."""

    def __init__(self) -> None:
        self._entries: dict[Path, _Entry] = {}

    def begin(self, components: Iterable[tuple[Path, tuple[str, ...]]]) -> None:
        """Have all these components waiting, each with the actors that it is for."""
        now = trio.current_time()
        self._entries = {component: _Entry(actors, "waiting", now) for component, actors in components}

    def enter(self, component: Path, stage: Stage, at_most_s: float | None = None) -> None:
        """A component is in another stage from now on."""
        entry = self._entries[component]
        self._entries[component] = replace(entry, stage=stage, since=trio.current_time(), at_most_s=at_most_s)

    def end(self) -> None:
        """Nothing is being prepared any more."""
        self._entries = {}

    def steps(self) -> tuple[Step, ...]:
        """Return how far each component is, those under way first."""
        now = trio.current_time()
        steps = (
            Step(component, entry.actors, entry.stage, now - entry.since, entry.at_most_s)
            for component, entry in self._entries.items()
        )
        return tuple(sorted(steps, key=lambda step: not step.under_way))
