"""An actor's log file: every line its workers write, and the supervisor's marks about them.

The supervisor alone writes it, so nothing is lost with a worker. A worker's stderr is untrusted bytes: lines
are bounded, and control characters are escaped. One line is
`2026-11-22T19:07:02.123456Z chat/17 E text`: UTC, actor/incarnation, stream, text.
"""

import datetime
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_LINE_BYTES: Final = 8192
MARK: Final = 0x1E
STREAMS: Final = "EOLDS"

_LINES_REMEMBERED: Final = 20
_WORKER_STREAMS: Final = b"EOLD"
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_SPLIT_SIGN: Final = "…"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a worker: its stream and its text, not yet escaped."""

    stream: str
    text: str


class LineDecoder:
    r"""Cuts a worker's stderr into lines.

    The worker marks what is not its own: `\x1e`, the stream's letter (O, E, L, D), then the text. Lines
    without a mark are E. A line over MAX_LINE_BYTES is split, visibly.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._continued: str | None = None

    def feed(self, data: bytes) -> list[Line]:
        """Return the lines that `data` completes."""
        *complete, self._buffer = (self._buffer + data).split(b"\n")
        lines = [line for raw in complete for line in self._split(raw)]
        while len(self._buffer) > MAX_LINE_BYTES:
            lines.append(self._piece(self._buffer[:MAX_LINE_BYTES], more=True))
            self._buffer = self._buffer[MAX_LINE_BYTES:]
        return lines

    def close(self) -> list[Line]:
        """Return what is left when the stream has ended: a last line without its newline."""
        rest, self._buffer = self._buffer, b""
        return list(self._split(rest)) if rest or self._continued else []

    def _split(self, raw: bytes) -> Iterator[Line]:
        while len(raw) > MAX_LINE_BYTES:
            yield self._piece(raw[:MAX_LINE_BYTES], more=True)
            raw = raw[MAX_LINE_BYTES:]
        yield self._piece(raw, more=False)

    def _piece(self, raw: bytes, *, more: bool) -> Line:
        prefix, stream = "", self._continued
        if stream is not None:
            prefix = _SPLIT_SIGN
        elif len(raw) > 1 and raw[0] == MARK and raw[1] in _WORKER_STREAMS:
            stream, raw = chr(raw[1]), raw[2:]
        else:
            stream = "E"
        self._continued = stream if more else None
        text = prefix + raw.decode("utf-8", "backslashreplace") + (_SPLIT_SIGN if more else "")
        return Line(stream, text)


def escape(text: str) -> str:
    """Escape what could move a terminal's cursor or begin a line of its own; tabs stay."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class ActorLog:
    """Appends lines to one actor's log file and hands each to `echo` as well, if there is one.

    Raises OSError when the file cannot be opened. A write that fails later is counted in `lost_lines`: the
    log of an actor is no reason to stop it.
    """

    def __init__(self, path: Path, actor: str, *, debug: bool, echo: Callable[[str], None] | None) -> None:
        self.lost_lines = 0
        self.debug = debug
        self._actor = actor
        self._last: deque[tuple[int, str]] = deque(maxlen=_LINES_REMEMBERED)
        self._echo = echo
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def write(self, incarnation: int, lines: Iterable[Line]) -> None:
        """Append the lines, stamped with the time of now."""
        stamp = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        head = f"{stamp} {self._actor}/{incarnation}"
        wanted = [line for line in lines if self.debug or line.stream != "D"]
        if not wanted:
            return
        texts = [f"{head} {line.stream} {escape(line.text)}" for line in wanted]
        self._last.extend((incarnation, text) for text in texts[-_LINES_REMEMBERED:])
        self._append(texts)
        if self._echo is not None:
            for text in texts:
                self._echo(text.removeprefix(f"{stamp} "))

    def mark(self, incarnation: int, text: str) -> None:
        """Append a line of the supervisor's own."""
        self.write(incarnation, [Line("S", text)])

    def note(self, incarnation: int, text: str) -> None:
        """Append a line that only debugging needs."""
        if self.debug:
            self.write(incarnation, [Line("D", text)])

    def last_lines(self, incarnation: int, count: int) -> list[str]:
        """Return the last lines of this incarnation, `count` of them at most."""
        return [text for owner, text in self._last if owner == incarnation][-count:]

    def close(self) -> None:
        """Close the file. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd != -1:
            os.close(fd)

    def _append(self, texts: list[str]) -> None:
        data = memoryview("".join(text + "\n" for text in texts).encode("utf-8", "backslashreplace"))
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            self.lost_lines += len(texts)
