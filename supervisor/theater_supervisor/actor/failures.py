"""The events that an actor failed on: counted, the last of them remembered, and the supervisor's log warned.

An actor that fails on everything answers, so its worker lives on; this is how it is seen. No payloads.
"""

import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Final

from structlog.typing import FilteringBoundLogger

FAILURES_KEPT: Final = 5
_WARN_EVERY_S: Final = 10.0
_MOST_CHARS: Final = 300


@dataclass(frozen=True, slots=True)
class Failure:
    """An event that came to nothing: when (Unix time), in which worker, and what was the matter.

    `seq` is that of its transition, `reason` the last line of the error. `error` is the id that its client
    was shown, "" when none was there.
    """

    at_us: int
    incarnation: int
    kind: str
    connection: int
    seq: int
    outcome: str
    reason: str
    error: str

    @property
    def where(self) -> str:
        """The event, in words."""
        return f"{self.kind} of connection {self.connection}" if self.connection else self.kind

    def to_object(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        return asdict(self)


class Failures:
    """The last failed events of an actor, and how many there were. A warning tells of them now and then."""

    def __init__(self, event_log: FilteringBoundLogger) -> None:
        self.count = 0
        self.last: deque[Failure] = deque(maxlen=FAILURES_KEPT)
        self._event_log = event_log
        self._warned_at_s: float | None = None
        self._untold = 0

    def add(self, failure: Failure) -> None:
        """Take up another one."""
        self.count += 1
        self.last.append(failure)
        self._untold += 1
        now_s = time.monotonic()
        if self._warned_at_s is None or now_s - self._warned_at_s >= _WARN_EVERY_S:
            self._warned_at_s = now_s
            self._warn(failure)

    def _warn(self, failure: Failure) -> None:
        told = asdict(failure)
        del told["at_us"]
        self._event_log.warning("event_failed", **told, failed_since_last_told=self._untold)
        self._untold = 0


def last_line(detail: str) -> str:
    """Return the last line of an error that says something: the first ones are where it came from."""
    lines = [line.strip() for line in detail.splitlines() if line.strip()]
    return lines[-1][:_MOST_CHARS] if lines else ""
