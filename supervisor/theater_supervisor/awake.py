"""Whether to wait awake or asleep, decided by what either took lately on this machine.

A processor that falls asleep takes its time to be back, above all in a virtual machine; but who stays awake
beside busy neighbours uses up its turn, and is set aside when what it waited for is there. Pure: knows
neither what is waited for nor how.
"""

from statistics import median
from typing import Final

_WAITS: Final = 16  # in a row, so that an odd one decides nothing
_ROUNDS: Final = 8  # with the better way, before the other is tried again
_WEIGHT: Final = 0.7


class Trial:
    """Says how to wait, awake or asleep: as took less time lately, with the other way tried now and then.

    `learn` is told of every wait what it took, or what a whole turn took of which it is a part.
    """

    def __init__(self) -> None:
        self.is_awake = True
        self._took_s: list[float] = []
        self._usual_s: dict[bool, float] = {}
        self._rounds = 0

    def learn(self, took_s: float) -> None:
        """Take note of a wait that went as `is_awake` said."""
        self._took_s.append(took_s)
        if len(self._took_s) < _WAITS:
            return
        middle_s = median(self._took_s)
        self._took_s.clear()
        usual_s = self._usual_s.get(self.is_awake, middle_s)
        self._usual_s[self.is_awake] = usual_s + (middle_s - usual_s) * _WEIGHT
        self._rounds += 1
        self.is_awake = self._next()

    def _next(self) -> bool:
        if len(self._usual_s) < 2:
            return not self.is_awake
        better = self._usual_s[True] <= self._usual_s[False]
        if self._rounds < _ROUNDS:
            return better
        self._rounds = 0
        return not better
