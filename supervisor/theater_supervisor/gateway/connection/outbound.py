"""The sending side of a stream and what waits for it, within a budget for all streams together.

Bytes only: nothing here knows what a WebSocket frame is. Who gives up, and what is told to whom then, is the
sender's matter.
"""

import os
from collections.abc import Callable
from itertools import accumulate
from typing import Final

import trio

from theater_supervisor.gateway.connection.stream import Stream

_WRITE_BYTES: Final = 64 * 1024
# Of what is written in parts, the rest is copied as often as half has gone, so that the whole can go too.
_LARGE_BYTES: Final = 1024 * 1024


class SendBudget:
    """What all connections together may have waiting to be sent: `held_bytes` of `max_bytes`.

    `peak_bytes` is the most that there was since somebody last set it.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self.peak_bytes = 0
        self._holders: dict[Outbound, Callable[[], None]] = {}

    def join(self, outbound: "Outbound", evict: Callable[[], None]) -> None:
        """Count in a stream; `evict` shall let go of what it holds, but for at most one write."""
        self._holders[outbound] = evict

    def leave(self, outbound: "Outbound") -> None:
        """Count a stream out, with what it holds."""
        self._holders.pop(outbound, None)
        self.held_bytes -= outbound.held_bytes

    def add(self, held_bytes: int) -> None:
        """Count bytes; beyond the bound, those go who hold most and for longest, until it is kept."""
        self.held_bytes += held_bytes
        if self.held_bytes > self.peak_bytes:
            self.peak_bytes = self.held_bytes
        if self.held_bytes > self.max_bytes:
            self._evict()

    def _evict(self) -> None:
        now_s = trio.current_time()
        while self.held_bytes > self.max_bytes and self._holders:
            blamed = max(self._holders, key=lambda holder: holder.blame(now_s))
            self._holders.pop(blamed)()


class Outbound:
    """The sending side of one stream and what waits for it.

    What is pushed goes out in order and in as few writes as possible: with the next flush if the peer takes
    it at once, else through the one task that runs `write_all`. A push finds room while less than `max_bytes`
    are held, those under way included.
    """

    def __init__(
        self,
        stream: Stream,
        max_bytes: int,
        send_timeout_s: float,
        budget: SendBudget,
        evict: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._send_timeout_s = send_timeout_s
        self._budget = budget
        self._queued: list[bytes | bytearray] = []
        self.held_bytes = 0
        self._under_way_bytes = 0
        self._rest: bytes | bytearray = b""
        self._waiting_since_s: float | None = None
        self._finished = False
        self._closed = False
        self._wake = trio.Event()
        # TLS has bytes of its own to write; a plain socket's descriptor is written to without further ado.
        self._fd = stream.socket.fileno() if type(stream) is trio.SocketStream else None
        budget.join(self, evict)

    def push(self, data: bytes) -> bool:
        """Queue `data` until flush. Returns False, and queues nothing, when there is no room for it."""
        if self._finished or self.held_bytes >= self._max_bytes:
            return False
        self._append(data)
        self._budget.add(len(data))
        return True

    def flush(self) -> None:
        """Write what is queued as far as that goes without waiting, and leave the rest to `write_all`.

        To wake the writing task for every write takes 25 µs more; much is left to it, for others wait.
        """
        at_once = self.held_bytes <= _WRITE_BYTES and not self._under_way_bytes
        if self._queued and self._fd is not None and at_once:
            self._write_now(self._fd)
        if self._queued or self._rest:
            self.flush_soon()

    def flush_soon(self) -> None:
        """Have what is queued written with whatever else comes until the writing task's turn."""
        if self._waiting_since_s is None:
            self._waiting_since_s = trio.current_time()
        self._wake.set()

    def _write_now(self, fd: int) -> None:
        data = self._take()
        try:
            written = os.write(fd, data)
        except OSError:  # it is full, or broken: for the task to find out
            written = 0
        self._release(written)
        # The rest of a frame that has begun must follow it, whatever is discarded; else nothing is under way.
        self._rest = data[written:] if written else b""
        self._under_way_bytes = len(self._rest)
        if not written:
            self._queued.insert(0, data)

    @property
    def can_discard(self) -> bool:
        """True while at most one write is under way, which would have to end before anything else goes."""
        return self._under_way_bytes <= 2 * _WRITE_BYTES

    def blame(self, now_s: float) -> float:
        """Say how much it holds of the budget, which weighs more with every second that it has to wait."""
        waiting_s = 0.0 if self._waiting_since_s is None else now_s - self._waiting_since_s
        return self.held_bytes * (1 + waiting_s)

    def finish(self, data: bytes, *, discard: bool = False) -> None:
        """Queue the last bytes, which always fit; with `discard` in place of all that is not under way."""
        if self._finished:
            return
        self._finished = True
        if discard:
            self._queued.clear()
            self._budget.held_bytes -= self.held_bytes - self._under_way_bytes
            self.held_bytes = self._under_way_bytes
        self._append(data)
        self._budget.held_bytes += len(data)
        self.flush_soon()

    def close(self) -> None:
        """Let go of everything: nothing will be written any more."""
        self._budget.leave(self)
        self._queued.clear()
        self._rest = b""
        self.held_bytes = self._under_way_bytes = 0
        self._finished = self._closed = True
        self._wake.set()

    async def write_all(self) -> None:
        """Write what is queued, and to be queued, until `finish` and nothing is left.

        Raises trio.TooSlowError when the peer takes nothing for `send_timeout_s`, and
        trio.BrokenResourceError when it is gone.
        """
        while True:
            while self._rest or self._queued:
                await self._write(self._take())
            if self._finished:
                return
            self._waiting_since_s = None
            self._wake = trio.Event()
            await self._wake.wait()

    def _append(self, data: bytes) -> None:
        # Small ones together, for an object of each would take many times as much as is counted here.
        queued = self._queued
        if queued and len(queued[-1]) + len(data) <= _WRITE_BYTES:
            last = queued[-1]
            if not isinstance(last, bytearray):
                last = queued[-1] = bytearray(last)
            last += data
        else:
            queued.append(data)
        self.held_bytes += len(data)

    def _take(self) -> bytes | bytearray:
        if self._rest:
            rest, self._rest = self._rest, b""
            return rest
        count = len(self._queued) if self.held_bytes <= _WRITE_BYTES else self._count_for_one_write()
        data = self._queued[0] if count == 1 else b"".join(self._queued[:count])
        del self._queued[:count]
        self._under_way_bytes = len(data)
        return data

    def _count_for_one_write(self) -> int:
        # What is under way can't be discarded any more, so no more than needed is.
        sizes = accumulate(map(len, self._queued))
        return next((count for count, size in enumerate(sizes, 1) if size >= _WRITE_BYTES), len(self._queued))

    async def _write(self, data: bytes | bytearray) -> None:
        # In parts, so that a slow but steady reader of much data is not taken for one that has stopped.
        view = memoryview(data)
        while view:
            with trio.fail_after(self._send_timeout_s):
                written = await self._write_part(view)
            if self._closed:
                return
            self._under_way_bytes -= written
            self._release(written)
            view = view[written:]
            if len(view) <= len(data) // 2 and len(data) > _LARGE_BYTES:
                data = bytes(view)
                view = memoryview(data)

    async def _write_part(self, view: memoryview) -> int:
        """Write some of it, and return how much; as much as a plain socket takes at one time."""
        if self._fd is None:
            part = view[:_WRITE_BYTES]
            await self._stream.send_all(part)
            return len(part)
        await trio.lowlevel.wait_writable(self._fd)
        try:
            return os.write(self._fd, view)
        except BlockingIOError:  # readiness is a hint
            return 0
        except OSError as exc:
            raise trio.BrokenResourceError from exc

    def _release(self, written_bytes: int) -> None:
        self.held_bytes -= written_bytes
        self._budget.held_bytes -= written_bytes
