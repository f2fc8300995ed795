"""A worker's log lines: from the untrusted bytes on its stderr to bounded text.

Pure. Where lines are written, and how many of them, is the matter of logs.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAX_LINE_BYTES: Final = 8192
MARK: Final = 0x1E
STREAMS: Final = "EOLDS"

_WORKER_STREAMS: Final = b"EOLD"
_SPLIT_SIGN: Final = "…"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a worker: its stream and its text, not yet escaped."""

    stream: str
    text: str


class LineDecoder:
    r"""Cuts a worker's stderr into lines.

    The worker marks what is not its own: `\x1e`, the stream's letter (O, E, L, D), then the text. Lines
    without a mark are E. A line over MAX_LINE_BYTES is split, visibly. Bytes may be skipped instead of fed:
    every line that any of them belongs to counts as skipped, and the rest of it is not returned either.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._continued: str | None = None
        self._skipping = False
        self._skipped = 0

    def feed(self, data: bytes) -> list[Line]:
        """Return the lines that `data` completes."""
        if self._skipping:
            end = data.find(b"\n") + 1
            if not end:
                return []
            self.skip(data[:end])
            data = data[end:]
        *complete, self._buffer = (self._buffer + data).split(b"\n")
        lines = [line for raw in complete for line in self._split(raw)]
        while len(self._buffer) > MAX_LINE_BYTES:
            lines.append(self._piece(self._buffer[:MAX_LINE_BYTES], more=True))
            self._buffer = self._buffer[MAX_LINE_BYTES:]
        return lines

    def skip(self, data: bytes) -> None:
        """Take `data`, and what was waiting for the end of its line, without looking at it."""
        data, self._buffer = self._buffer + data, b""
        self._skipped += data.count(b"\n")
        if data:
            self._skipping = not data.endswith(b"\n")
            self._continued = None

    def take_skipped(self) -> int:
        """Return how many lines were skipped to their ends since the last call."""
        skipped, self._skipped = self._skipped, 0
        return skipped

    def close(self) -> list[Line]:
        """Return what is left when the stream has ended: a last line without its newline."""
        if self._skipping:
            self.skip(b"\n")
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
