"""When the next worker starts: a pure function of how the last ones ended.

No trio, no clock, no processes: the caller sleeps and spawns.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays between workers that end without having got anything done.

    A worker that committed something is replaced at once. Otherwise the delay starts at `initial_s` and grows
    by `factor` up to `max_s`.
    """

    initial_s: float = 0.25
    factor: float = 2.0
    max_s: float = 30.0

    def delay_s(self, fruitless: int) -> float:
        """Return the delay after `fruitless` workers in a row that committed nothing."""
        if fruitless == 0:
            return 0.0
        return min(self.max_s, self.initial_s * self.factor ** min(fruitless - 1, 64))
