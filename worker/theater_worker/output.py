"""What a guest prints in one call, cut into log lines and bounded.

Pure: lines go to the function given at the start. How a guest's bytes get here is wasi.py's matter.
"""

from collections.abc import Callable
from typing import Final

from theater_worker.stdio import Stream

MAX_OUTPUT_BYTES: Final = 256 * 1024


class GuestOutput:
    """Joins a guest's writes into lines and hands them to `emit`.

    A line is handed over as soon as it is complete, what is left when end_call() comes after it. A call may
    print `max_bytes`; the bytes beyond are dropped and counted in one closing line.
    """

    def __init__(self, emit: Callable[[Stream, str], None], max_bytes: int = MAX_OUTPUT_BYTES) -> None:
        self._emit = emit
        self._max_bytes = max_bytes
        self._room_bytes = max_bytes
        self._dropped_bytes = 0
        self._partial: dict[Stream, bytearray] = {}

    def write(self, stream: Stream, data: bytes) -> None:
        """Take `data` as the next bytes of `stream`; a line may end anywhere in it or not at all."""
        lines, newline, rest = self._bounded(data).rpartition(b"\n")
        if newline:
            partial = self._partial.pop(stream, b"")
            self._emit(stream, _text(bytes(partial) + lines))
        if rest:
            self._partial.setdefault(stream, bytearray()).extend(rest)

    def line(self, stream: Stream, text: str) -> None:
        """Take `text` as a whole line."""
        kept = self._bounded(text.encode())
        if kept or not text:
            self._emit(stream, _text(kept))

    def end_call(self) -> None:
        """Hand over what has no line end yet, say what was dropped, and start counting afresh."""
        for stream, partial in self._partial.items():
            self._emit(stream, _text(bytes(partial)))
        self._partial.clear()
        if self._dropped_bytes:
            limit = f"a call may print {self._max_bytes} bytes"
            self._emit("E", f"{self._dropped_bytes} bytes of output dropped: {limit}")
        self._room_bytes = self._max_bytes
        self._dropped_bytes = 0

    def _bounded(self, data: bytes) -> bytes:
        kept = data[: self._room_bytes]
        self._room_bytes -= len(kept)
        self._dropped_bytes += len(data) - len(kept)
        return kept


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
