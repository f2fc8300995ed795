"""Standard output and error of a process that serves, written by a thread: whatever is behind them.

A reader that does not read, one that has gone, a full disk: none of it may hold up or end the service. What
the lines say is not known here.
"""

import os
import select
import threading
import time
from collections import deque
from typing import Final, TextIO

from theater_supervisor.terminal import encoded

MAX_WAITING_BYTES: Final = 1024 * 1024
_WRITE_BYTES: Final = 65536


class QueuedOutput:
    """Writes text to a stream's descriptor. `write` never waits and never raises.

    At most `max_bytes` wait. What is over that or can't be written is dropped: counted in `dropped_lines`,
    and told of in a line, which begins with `mark`, once writing works again.
    """

    def __init__(
        self, stream: TextIO, *, name: str, mark: str = "", max_bytes: int = MAX_WAITING_BYTES
    ) -> None:
        self.name = name
        self.dropped_lines = 0
        self._stream = stream
        self._fd = stream.fileno()
        self._mark = mark
        self._max_bytes = max_bytes
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._untold = 0
        self._torn = False
        self._closing = False
        self._changed = threading.Condition()
        # A daemon, because nothing ends a write that nobody reads.
        self._thread = threading.Thread(target=self._run, name=f"{name} writer", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Put text, of whole lines, behind what waits."""
        data = encoded(text, self._stream)
        with self._changed:
            if self._closing or self._waiting_bytes + len(data) > self._max_bytes:
                self._drop(data)
            else:
                self._waiting.append(data)
                self._waiting_bytes += len(data)
                self._changed.notify_all()

    def flush(self) -> None:
        """Do nothing: what is written leaves as soon as it can."""

    def close(self, patience_s: float) -> None:
        """Write what waits, for at most `patience_s`; what is left then is dropped. Idempotent."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(patience_s)

    def _run(self) -> None:
        while data := self._next():
            self._write_all(data)

    def _next(self) -> bytes:
        """Wait for lines and take some; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            taken: list[bytes] = []
            taken_bytes = 0
            while self._waiting and (not taken or taken_bytes + len(self._waiting[0]) <= _WRITE_BYTES):
                taken.append(self._waiting.popleft())
                taken_bytes += len(taken[-1])
            return b"".join(taken)

    def _write_all(self, data: bytes) -> None:
        told, note = self._untold, b""
        if told:
            note = f"{self._mark}theater-supervise: {told} lines to {self.name} were dropped\n".encode()
        begin = b"\n" if self._torn else b""
        whole = begin + note + data
        done = self._write(whole)
        with self._changed:
            self._waiting_bytes -= len(data)
            if done:
                self._torn = whole[done - 1 : done] != b"\n"
            if told and done >= len(begin + note):
                self._untold -= told
            self._drop(data[max(0, done - len(begin + note)) :])

    def _write(self, data: bytes) -> int:
        done = 0
        try:
            while done < len(data):
                try:
                    done += os.write(self._fd, data[done:])
                except BlockingIOError:  # somebody else who has it made it non-blocking
                    poll = select.poll()
                    poll.register(self._fd, select.POLLOUT)
                    poll.poll()
        except OSError:
            pass  # it is counted
        return done

    def _drop(self, data: bytes) -> None:
        lines = data.count(b"\n")
        self._untold += lines
        self.dropped_lines += lines


def close_all(outputs: tuple[QueuedOutput, ...], patience_s: float) -> None:
    """Close several, for at most `patience_s` in all."""
    until_s = time.monotonic() + patience_s
    for output in outputs:
        output.close(max(0.0, until_s - time.monotonic()))
