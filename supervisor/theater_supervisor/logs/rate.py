"""How much an actor's workers may log: a token bucket of bytes. Pure: the time is handed in."""

from dataclasses import dataclass
from typing import Final

_WORTHWHILE_S: Final = 1.0


@dataclass(slots=True)
class LogRate:
    """Says whether lines are written or only counted.

    `burst_bytes` may be spent at once, `bytes_per_s` come back. Once all is spent, nothing is allowed until
    what comes back in a second is there again, so that a flood shows in a few long gaps.
    """

    bytes_per_s: float
    burst_bytes: float
    _spent_bytes: float = 0.0
    _at_s: float = 0.0
    _exceeded: bool = False

    def allows(self, now_s: float) -> bool:
        """Say whether what comes now is to be written. `now_s` is monotonic."""
        self._spent_bytes = max(0.0, self._spent_bytes - (now_s - self._at_s) * self.bytes_per_s)
        self._at_s = now_s
        worthwhile = min(self.bytes_per_s * _WORTHWHILE_S, self.burst_bytes) if self._exceeded else 0.0
        left_bytes = self.burst_bytes - self._spent_bytes
        self._exceeded = left_bytes < worthwhile if self._exceeded else left_bytes <= 0
        return not self._exceeded

    def spend(self, octets: int) -> None:
        """Count bytes that were written; they may exceed what was left."""
        self._spent_bytes += octets
