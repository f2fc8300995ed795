"""What the gateway does with a TCP stream: its peer's name, its sending side, its gentle end.

Bytes only: nothing here knows what a WebSocket frame is.
"""

from typing import Final

import trio

_WRITE_BYTES: Final = 256 * 1024
_DISCARD_BYTES: Final = 64 * 1024


def remote_address(stream: trio.SocketStream) -> str:
    """Return the peer's `address:port` for the log; "gone" when it has left already."""
    try:
        host, port, *_ = stream.socket.getpeername()
    except OSError:
        return "gone"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def linger(stream: trio.SocketStream, linger_s: float) -> None:
    """Half-close, then discard what the peer still sends until it closes too, at most `linger_s`.

    A socket closed with unread bytes answers with a reset, and a reset makes the peer lose what we sent last.
    """
    with trio.move_on_after(linger_s):
        try:
            await stream.send_eof()
            while await stream.receive_some(_DISCARD_BYTES):
                pass
        except trio.BrokenResourceError:
            return


class Outbound:
    """The sending side of one stream and what waits for it.

    Everything queued goes through the one task that runs `write_all`, in order; what has gathered meanwhile
    goes out in one write. At most `max_bytes` are held, those under way included.
    """

    def __init__(self, stream: trio.SocketStream, max_bytes: int, send_timeout_s: float) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._send_timeout_s = send_timeout_s
        self._queued: list[bytes] = []
        self._held_bytes = 0
        self._under_way_bytes = 0
        self._finished = False
        self._wake = trio.Event()

    @property
    def held_bytes(self) -> int:
        """What waits to be written, and what is under way."""
        return self._held_bytes

    def push(self, data: bytes) -> bool:
        """Queue `data`. Returns False, and queues nothing, when there is no room for it."""
        if self._finished or self._held_bytes + len(data) > self._max_bytes:
            return False
        self._append(data)
        return True

    def finish(self, data: bytes, *, discard: bool = False) -> None:
        """Queue the last bytes, which always fit; with `discard` in place of all that is not under way."""
        if discard:
            self._queued.clear()
            self._held_bytes = self._under_way_bytes
        self._append(data)
        self._finished = True

    async def write_all(self) -> None:
        """Write what is queued, and to be queued, until `finish` and nothing is left.

        Raises trio.TooSlowError when the peer takes nothing for `send_timeout_s`, and
        trio.BrokenResourceError when it is gone.
        """
        while True:
            while self._queued:
                await self._write(self._take())
            if self._finished:
                return
            self._wake = trio.Event()
            await self._wake.wait()

    def _append(self, data: bytes) -> None:
        self._queued.append(data)
        self._held_bytes += len(data)
        self._wake.set()

    def _take(self) -> bytes:
        data = self._queued[0] if len(self._queued) == 1 else b"".join(self._queued)
        self._queued.clear()
        self._under_way_bytes = len(data)
        return data

    async def _write(self, data: bytes) -> None:
        # In slices, so that a slow but steady reader of much data is not taken for one that has stopped.
        view = memoryview(data)
        for start in range(0, len(data), _WRITE_BYTES):
            with trio.fail_after(self._send_timeout_s):
                await self._stream.send_all(view[start : start + _WRITE_BYTES])
        self._held_bytes -= self._under_way_bytes
        self._under_way_bytes = 0
