"""The pipe side of one worker process: frames in, frames out.

The only reader and writer of the wire's two pipes; the process that they belong to closes them. It reads and
writes the descriptors itself: trio's own streams yield to the scheduler before each call, which took a tenth
of a message's time.
"""

import contextlib
import os
from collections.abc import Sequence
from typing import Final

import trio

from theater_protocol import framing
from theater_protocol.items import all_from_worker, encode_frames
from theater_protocol.messages import FromWorker, Limits, ToWorker
from theater_supervisor.process.spawn import PIPE_BYTES, enlarge_pipes

# As much as a pipe holds at first. A hostile worker can make objects of it that take sixty times as much.
RECEIVE_BYTES = 256 * 1024
# And from the first event on that is larger: a fifth more echoes of 1 MiB. Not for all actors, because what
# all pipes of a user may hold together is bounded.
LARGE_PIPE_BYTES = 1024 * 1024
# To be decoded at one go, however many items it has.
_AT_ONCE_BYTES: Final = 32 * 1024


class Link:
    """Sends frames to a worker and receives its frames, strictly decoded and bounded by `limits`."""

    def __init__(
        self, send_stream: trio.lowlevel.FdStream, receive_stream: trio.lowlevel.FdStream, limits: Limits
    ) -> None:
        self._send_stream = send_stream
        self._receive_stream = receive_stream
        self._decoder = framing.FrameDecoder(limits.max_frame_bytes, limits.max_frame_items)
        self._unsent = memoryview(b"")
        self._has_large_pipes = False

    async def send(self, frames: Sequence[ToWorker]) -> bool:
        """Write the frames at one go; False when the worker has gone. Waits only while the pipe is full."""
        return self.post(frames) or await self.drain()

    def post(self, frames: Sequence[ToWorker]) -> bool:
        """Write the frames as far as the pipe takes them now; False when some are left for `drain`."""
        data = encode_frames(frames)
        if len(data) > PIPE_BYTES and not self._has_large_pipes:
            self._has_large_pipes = True
            enlarge_pipes((self._send_stream, self._receive_stream), LARGE_PIPE_BYTES)
        self._unsent = memoryview(b"".join((self._unsent, data)) if self._unsent else data)
        try:
            self._write_some()
        except OSError:  # it is full, or broken: for drain to find out
            return False
        return not self._unsent

    async def drain(self) -> bool:
        """Write what is left as the pipe takes it; False when the worker has gone."""
        try:
            while self._unsent:
                await trio.lowlevel.wait_writable(self._send_stream.fileno())
                with contextlib.suppress(BlockingIOError):  # readiness is a hint
                    self._write_some()
        except (trio.ClosedResourceError, OSError):
            return False
        return True

    async def receive(self) -> list[FromWorker]:
        """Return the next complete frames, one or more; an empty list at the end of the stream.

        Raises RemoteProtocolError when the worker breaks the wire's rules.
        """
        while data := await self._receive_some():
            if len(data) + self._decoder.buffered_bytes > _AT_ONCE_BYTES:
                if frames := await self._decode_in_turns(data):
                    return frames
            elif items := self._decoder.feed(data):
                return all_from_worker(items)
        return []

    async def _decode_in_turns(self, data: bytes) -> list[FromWorker]:
        """Decode while others have their turns; not to be cancelled, for what is decoded would be lost."""
        frames: list[FromWorker] = []
        for item in self._decoder.feed_in_turns(data):
            if isinstance(item, tuple):
                frames += all_from_worker(item)
            else:
                await trio.lowlevel.cancel_shielded_checkpoint()
        return frames

    async def _receive_some(self) -> bytes:
        try:
            await trio.lowlevel.wait_readable(self._receive_stream.fileno())
            return os.read(self._receive_stream.fileno(), RECEIVE_BYTES)
        except (trio.ClosedResourceError, OSError):
            return b""

    def _write_some(self) -> None:
        self._unsent = self._unsent[os.write(self._send_stream.fileno(), self._unsent) :]
