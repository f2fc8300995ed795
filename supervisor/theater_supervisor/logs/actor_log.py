"""An actor's log file: every line its workers write, and the supervisor's marks about them.

The supervisor alone writes it, so nothing is lost with a worker. One line is
`2026-11-22T19:07:02.123456Z chat/17 E text`: UTC, actor/incarnation, stream, text. A flood costs lines, which
are counted, and neither blocks its worker nor fills the disk.
"""

import datetime
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from theater_supervisor.logs.lines import Line, LineDecoder
from theater_supervisor.logs.rate import LogRate
from theater_supervisor.logs.rotation import Budget, RotatingFile
from theater_supervisor.manifest.tables import LogConfig
from theater_supervisor.terminal import escape

_LINES_REMEMBERED: Final = 20
_FLUSH_AFTER_S: Final = 1.0
_KIB: Final = 1024
_MIB: Final = 1024 * 1024


class ActorLog:
    """Appends lines to one actor's log file and hands each to `echo` as well, if there is one.

    Raises OSError when the file cannot be opened. A write that fails later is counted in `lost_lines`, and in
    a line once writing works again: the log of an actor is no reason to stop it. `suppressed_lines` are those
    over the rate.
    """

    def __init__(
        self,
        path: Path,
        actor: str,
        *,
        debug: bool,
        echo: Callable[[str], None] | None,
        config: LogConfig | None = None,
        budget: Budget | None = None,
    ) -> None:
        config = config or LogConfig()
        self.lost_lines = 0
        self.suppressed_lines = 0
        self.debug = debug
        self._actor = actor
        self._echo = echo
        self._last: deque[tuple[int, str]] = deque(maxlen=_LINES_REMEMBERED)
        self._untold_losses = 0
        self._rate = LogRate(config.rate_kib_per_s * _KIB, config.burst_kib * _KIB)
        self._file = RotatingFile(path, round(config.file_mib * _MIB), config.files, budget=budget)

    def configure(self, config: LogConfig) -> None:
        """Keep and let pass what `config` says from now on."""
        self._rate.bytes_per_s, self._rate.burst_bytes = config.rate_kib_per_s * _KIB, config.burst_kib * _KIB
        self._file.max_bytes, self._file.files = round(config.file_mib * _MIB), config.files

    def stream(self, incarnation: int) -> "WorkerStream":
        """Return where the bytes of a new worker's stderr go."""
        return WorkerStream(self, incarnation, self._rate)

    def write(self, incarnation: int, lines: Iterable[Line]) -> int:
        """Append the lines, stamped with the time of now; return how many bytes they are in the file."""
        wanted = [line for line in lines if self.debug or line.stream != "D"]
        if not wanted:
            return 0
        stamp = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        head = f"{stamp} {self._actor}/{incarnation}"
        texts = [f"{head} {line.stream} {escape(line.text)}" for line in wanted]
        self._last.extend((incarnation, text) for text in texts[-_LINES_REMEMBERED:])
        octets = self._append(head, texts)
        if self._echo is not None:
            for text in texts:
                self._echo(text.removeprefix(f"{stamp} "))
        return octets

    def mark(self, incarnation: int, text: str) -> None:
        """Append a line of the supervisor's own."""
        self.write(incarnation, [Line("S", text)])

    def note(self, incarnation: int, text: str) -> None:
        """Append a line that only debugging needs."""
        if self.debug:
            self.write(incarnation, [Line("D", text)])

    def suppress(self, incarnation: int, count: int) -> None:
        """Say in a line that `count` lines were suppressed."""
        self.suppressed_lines += count
        rate_kib_per_s = self._rate.bytes_per_s / _KIB
        self.mark(incarnation, f"{count} lines suppressed: more than {rate_kib_per_s:g} KiB a second")

    def last_lines(self, incarnation: int, count: int) -> list[str]:
        """Return the last lines of this incarnation, `count` of them at most."""
        return [text for owner, text in self._last if owner == incarnation][-count:]

    def reopen(self) -> None:
        """Open the file of its name anew; go on with the old one when that fails."""
        self._file.reopen()

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()

    def _append(self, head: str, texts: Sequence[str]) -> int:
        lines = [f"{text}\n".encode("utf-8", "backslashreplace") for text in texts]
        told = []
        if self._untold_losses:
            told = [f"{head} S {self._untold_losses} lines lost: {_why(self._file.error)}\n".encode()]
        written = self._file.write(told + lines)
        if told and written:
            self._untold_losses = 0
        lost = len(lines) - max(0, written - len(told))
        self._untold_losses += lost
        self.lost_lines += lost
        return sum(map(len, lines))


class WorkerStream:
    """One worker's stderr on its way into the log: lines within the actor's rate, and a count of the rest."""

    def __init__(self, log: ActorLog, incarnation: int, rate: LogRate) -> None:
        self._log = log
        self._incarnation = incarnation
        self._rate = rate
        self._decoder = LineDecoder()
        self._suppressed = 0

    @property
    def flush_after_s(self) -> float | None:
        """After how long without bytes `flush` is to be called, None for never."""
        return _FLUSH_AFTER_S if self._suppressed else None

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._rate.allows(time.monotonic()):
            lines = self._decoder.feed(data)
            self.flush()
            self._rate.spend(self._log.write(self._incarnation, lines))
        else:
            self._decoder.skip(data)
            self._suppressed += self._decoder.take_skipped()

    def flush(self) -> None:
        """Tell what has been suppressed."""
        self._suppressed += self._decoder.take_skipped()
        count, self._suppressed = self._suppressed, 0
        if count:
            self._log.suppress(self._incarnation, count)

    def close(self) -> None:
        """The stream has ended: write what is left of it."""
        rest = self._decoder.close()
        self.flush()
        self._log.write(self._incarnation, rest)


def _why(error: OSError | None) -> str:
    return (error.strerror if error else None) or "not written"
