"""The pipe side of one worker process: frames in, frames out.

The only reader and writer of the wire's two streams; the process that they belong to closes them.
"""

from collections.abc import Sequence

import trio

from theater_protocol import framing, messages
from theater_protocol.messages import FromWorker, Limits, ToWorker

# As much as a pipe holds. A hostile worker can make objects of it that take sixty times as much.
RECEIVE_BYTES = 256 * 1024


class Link:
    """Sends frames to a worker and receives its frames, strictly decoded and bounded by `limits`."""

    def __init__(
        self, send_stream: trio.abc.SendStream, receive_stream: trio.abc.ReceiveStream, limits: Limits
    ) -> None:
        self._send_stream = send_stream
        self._receive_stream = receive_stream
        self._decoder = framing.FrameDecoder(limits.max_result_bytes, limits.max_result_items)

    async def send(self, frames: Sequence[ToWorker]) -> bool:
        """Write the frames at one go; False when the worker has gone. Waits while the pipe is full."""
        data = b"".join(framing.encode_frame(messages.to_item(frame)) for frame in frames)
        try:
            await self._send_stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        return True

    async def receive(self) -> list[FromWorker]:
        """Return the next complete frames, one or more; an empty list at the end of the stream.

        Raises RemoteProtocolError when the worker breaks the wire's rules.
        """
        while data := await self._receive_some():
            if items := self._decoder.feed(data):
                return [messages.from_worker(item) for item in items]
        return []

    async def _receive_some(self) -> bytes:
        try:
            return bytes(await self._receive_stream.receive_some(RECEIVE_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""
