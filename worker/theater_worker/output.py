"""What a guest prints in one call, cut into log lines and bounded.

Pure: lines go to the function given at the start. How a guest's bytes get here is wasi.py's matter.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from theater_worker.stdio import Stream

MAX_OUTPUT_BYTES: Final = 256 * 1024
_LAST_ERRORS: Final = 8


class GuestOutput:
    """Joins a guest's writes into lines and hands them to `emit`.

    A line is handed over as soon as it is complete, what is left when end_call() comes after it. A call may
    print `max_bytes`; the bytes beyond are dropped and counted in one closing line. `last_errors` are the
    last lines that were completed on stderr in this call.
    """

    def __init__(self, emit: Callable[[Stream, str], None], max_bytes: int = MAX_OUTPUT_BYTES) -> None:
        self._emit = emit
        self._max_bytes = max_bytes
        self._room_bytes = max_bytes
        self._dropped_bytes = 0
        self._partial: dict[Stream, bytearray] = {}
        self.last_errors: deque[str] = deque(maxlen=_LAST_ERRORS)

    def write(self, stream: Stream, data: bytes) -> None:
        """Take `data` as the next bytes of `stream`; a line may end anywhere in it or not at all."""
        lines, newline, rest = self._bounded(data).rpartition(b"\n")
        if newline:
            partial = self._partial.pop(stream, b"")
            text = _text(bytes(partial) + lines)
            self._emit(stream, text)
            if stream == "E":
                self.last_errors.extend(text.split("\n"))
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
        self.last_errors.clear()

    def _bounded(self, data: bytes) -> bytes:
        kept = data[: self._room_bytes]
        self._room_bytes -= len(kept)
        self._dropped_bytes += len(data) - len(kept)
        return kept


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
