"""Log lines that a peer causes: cut to a length, held to a rate for each kind, and counted where left out.

Whoever can connect can cause as many of them as it likes, of what it likes: they must not push out of the log
what else is in it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
import trio

from theater_supervisor.logs.rate import LogRate

MAX_SHOWN: Final = 200

_BYTES_PER_S: Final = 2 * 1024
_BURST_BYTES: Final = 64 * 1024
_LINE_BYTES: Final = 150  # what a line has beside its fields
_REPORT_S: Final = 10.0


def cut(value: object) -> object:
    """Return a field of a line, a text of more than 200 characters without its end."""
    if isinstance(value, str) and len(value) > MAX_SHOWN:
        return f"{value[:MAX_SHOWN]}…"
    return value


@dataclass(slots=True)
class _Kind:
    rate: LogRate = field(default_factory=lambda: LogRate(_BYTES_PER_S, _BURST_BYTES))
    suppressed: int = 0


class PeerLogRates:
    """What the lines of all peers may take together: of a kind, that is an event, 64 KiB and 2 KiB a second.

    `keep_reporting`, while it runs, tells within 10 s how many lines of which kind were left out.
    """

    def __init__(self, now_s: Callable[[], float] = trio.current_time) -> None:
        self._now_s = now_s
        self._log = structlog.get_logger().bind()
        self._kinds: dict[str, _Kind] = {}
        self._suppressing = trio.Event()

    def write(self, method: str, event: str, fields: Mapping[str, Any]) -> None:
        """Write a line by that method of structlog's, or count it."""
        kind = self._kinds.get(event)
        if kind is None:
            kind = self._kinds[event] = _Kind()
        if not kind.rate.allows(self._now_s()):
            kind.suppressed += 1
            self._suppressing.set()
            return
        kind.rate.spend(_LINE_BYTES + sum(len(value) for value in fields.values() if isinstance(value, str)))
        getattr(self._log, method)(event, **fields)

    def report(self) -> None:
        """Tell how many lines were left out since the last time."""
        self._suppressing = trio.Event()
        for event, kind in self._kinds.items():
            if kind.suppressed:
                self._log.warning("lines_suppressed", of=event, count=kind.suppressed)
                kind.suppressed = 0

    async def keep_reporting(self) -> None:
        """Report until cancelled, and then once more."""
        try:
            while True:
                await self._suppressing.wait()
                await trio.sleep(_REPORT_S)
                self.report()
        finally:
            self.report()


class PeerLog:
    """A logger for what peers cause; `bind` gives one for a peer, with the same rates."""

    __slots__ = ("_fields", "_rates")

    def __init__(self, rates: PeerLogRates, fields: Mapping[str, Any] | None = None) -> None:
        self._rates = rates
        self._fields = dict(fields or {})

    def bind(self, **fields: object) -> "PeerLog":
        """Return one that adds these fields to each line."""
        return PeerLog(self._rates, self._fields | fields)

    def debug(self, event: str, **fields: object) -> None:
        """Write a line for who looks for something."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Write what is as it should be, if not for the peer."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Write what an operator may want to mend."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Write what an operator should mend."""
        self._write("error", event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """Write what broke, from its handler: with the traceback."""
        self._write("exception", event, fields)

    def _write(self, method: str, event: str, fields: Mapping[str, Any]) -> None:
        shown = {name: cut(value) for name, value in {**self._fields, **fields}.items()}
        self._rates.write(method, event, shown)
